"""The bytes of one open file, as a server may answer."""

from concurrent.futures import Future
from struct import unpack_from

import pytest

from sftp.packets import Answer, Kind, Refusal, string
from sftp.reading import Blocks, Reading

CONTENT = bytes(range(25))


def read(expected: int, silent_from: int) -> bytes:
    """Read CONTENT in blocks of ten bytes from a server that answers with no bytes, and no end, from an offset on."""

    def ask(kind: Kind, request: bytes) -> "Future[Answer]":
        offset, length = unpack_from(">QI", request, 5)
        answer: Future[Answer] = Future()
        answer.set_result((Kind.DATA, string(b"" if offset >= silent_from else CONTENT[offset : offset + length])))
        return answer

    return b"".join(Reading(ask, b"h", Blocks(10), expected))


@pytest.mark.parametrize("expected", [0, 25])
def test_no_bytes_behind_the_said_size_are_an_end(expected: int) -> None:
    assert read(expected, len(CONTENT)) == CONTENT


def test_no_bytes_before_the_said_size_are_no_end() -> None:
    """Or the rest of the file would be lost, and the file deleted."""
    with pytest.raises(Refusal, match="it gave no bytes at 10 of 25"):
        read(len(CONTENT), 10)

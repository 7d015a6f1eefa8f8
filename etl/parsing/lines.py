"""Physical lines of a report, in bounded memory."""

from collections.abc import Iterator
from itertools import chain
from typing import Protocol

LINE_LIMIT = 1 << 20  # bytes
BLOCK = LINE_LIMIT  # bytes; only the first line of a block can be longer


class Readable(Protocol):
    """What can be read from, block by block."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""


def read_blocks(report: Readable) -> Iterator[list[bytes]]:
    """Yield the lines, some at a time, without their LF or CRLF.

    Only LF ends a line; the last line need not have one. Of a line longer than LINE_LIMIT the first
    LINE_LIMIT + 1 bytes are given, enough to tell.
    """
    rest = b""  # of a line whose end is not read yet
    while block := report.read(BLOCK):
        lines = (rest + block).replace(b"\r\n", b"\n").split(b"\n")
        rest = lines.pop()[: LINE_LIMIT + 2]  # one more than is given: a CR at its end does not make it short
        if lines:
            lines[0] = lines[0][: LINE_LIMIT + 1]
            yield lines
    if rest:
        yield [rest.removesuffix(b"\r")[: LINE_LIMIT + 1]]


def read_lines(report: Readable) -> Iterator[bytes]:
    """Yield the same lines one by one."""
    return chain.from_iterable(read_blocks(report))

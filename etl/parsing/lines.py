"""The lines of a report, read in bounded memory."""

from collections.abc import Iterator
from itertools import chain
from typing import Protocol

LINE_LIMIT = 1 << 20  # bytes
BLOCK = LINE_LIMIT  # bytes; so only the first line of a block can be longer than LINE_LIMIT


class Readable(Protocol):
    """An object that is read block by block."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""


def read_blocks(report: Readable) -> Iterator[list[bytes]]:
    """Yield the lines, some at a time, without their LF or CRLF.

    Only LF ends a line; the last line may have no LF. A line longer than LINE_LIMIT is cut to LINE_LIMIT + 1 bytes, which
    still show that the line is too long.
    """
    rest = b""  # the beginning of a line whose end is not read yet
    while block := report.read(BLOCK):
        lines = (rest + block).replace(b"\r\n", b"\n").split(b"\n")
        rest = lines.pop()[: LINE_LIMIT + 2]  # one byte more than is yielded: that byte may be a CR, which is removed later
        if lines:
            lines[0] = lines[0][: LINE_LIMIT + 1]
            yield lines
    if rest:
        yield [rest.removesuffix(b"\r")[: LINE_LIMIT + 1]]


def read_lines(report: Readable) -> Iterator[bytes]:
    """Yield the lines as read_blocks does, but one by one."""
    return chain.from_iterable(read_blocks(report))

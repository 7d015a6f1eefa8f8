"""The pieces of a report: byte ranges that workers parse side by side, with the line numbers of the whole file."""

import hashlib
import io
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from parsing.faults import RAW_LIMIT, ErrorRow
from parsing.lines import BLOCK, Readable, read_blocks, read_lines
from parsing.split import split_lines

PIECE = 1 << 26  # bytes


class Seekable(Readable, Protocol):
    """A file that can be read from any byte on."""

    def seek(self, position: int, /) -> int:
        """Go on reading at this byte."""


class Piece(NamedTuple):
    """The lines that begin behind an LF within a byte range; those of the range that begins at 0 are line 1 too."""

    start: int
    end: int
    number: int  # of the first of these lines, if there is one


class Survey(NamedTuple):
    """What one reading of a report from its first to its last byte shows."""

    sha256: str  # lower-case hex
    size: int  # bytes
    header: bytes  # line 1, cut behind RAW_LIMIT
    lines: int  # line 1, blank lines and all others
    pieces: list[Piece]


def survey(report: Readable, size: int = PIECE) -> Survey:
    """Read a report to its end; return its identity, its number of lines, and its pieces of ``size`` bytes."""
    sha256, head, last = hashlib.sha256(), b"", b"\n"
    position = line_feeds = 0
    pieces: list[Piece] = []
    while block := report.read(min(BLOCK, size - position % size)):
        if position % size == 0:
            pieces.append(Piece(position, position + size, line_feeds + 2 if position else 1))
        head += block[: RAW_LIMIT + 2 - len(head)]
        sha256.update(block)
        position += len(block)
        line_feeds += block.count(b"\n")
        last = block[-1:]
    pieces[-1:] = [piece._replace(end=position) for piece in pieces[-1:]]  # so that small reports share a task
    header = next(read_lines(io.BytesIO(head)), b"")
    return Survey(sha256.hexdigest(), position, header, line_feeds + (last != b"\n"), pieces)


class Parsed(NamedTuple):
    """What some lines of a piece give."""

    rows: list[bytes]  # for statistics, as COPY reads them
    errors: list[ErrorRow]
    passed_over: int  # lines that are no records, or erased


def parse_piece(report: Seekable, piece: Piece, erased: Collection[int] = ()) -> Iterator[Parsed]:
    """Yield what the lines of a piece give, some lines at a time; the header gives nothing.

    ``erased`` are the numbers of the lines of people who were forgotten.
    """
    number = piece.number
    for lines in read_blocks(Slice(report, piece)):
        if number == 1:
            del lines[0]
            number = 2
        rows, errors = split_lines(lines, number)
        number += len(lines)
        if erased:
            rows = [row for row in rows if int(row.rpartition(b",")[2]) not in erased]
            errors = [row for row in errors if row[0] not in erased]
        yield Parsed(rows, errors, len(lines) - len(rows) - len(errors))


class Slice:
    """The lines of a piece, read like a file of their own."""

    def __init__(self, report: Seekable, piece: Piece) -> None:
        self._blocks = blocks_of(report, piece)

    def read(self, _size: int) -> bytes:
        """Return some bytes; none at the end."""
        return next(self._blocks, b"")


def blocks_of(report: Seekable, piece: Piece) -> Iterator[bytes]:
    """Yield the bytes of a piece's lines: from behind its first LF to the first LF behind its end, 1 to BLOCK at a time."""
    report.seek(piece.start)
    position = piece.start
    begun = position == 0
    while block := report.read(BLOCK):
        end = max(piece.end - position, 0)  # in this block
        position += len(block)
        first = 0 if begun else block.find(b"\n", 0, end) + 1
        begun = begun or first > 0
        if not begun:
            if position >= piece.end:
                return
            continue
        stop = block.find(b"\n", end) + 1
        if first < (stop or len(block)):
            yield block[first : stop or None]
        if stop:
            return

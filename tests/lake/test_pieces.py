"""Pieces give what transform gives, for any bytes and any cut. No Java is needed."""

import csv
import hashlib
import io
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kit.samples import HEADER, line
from parsing import columns, faults, lines
from parsing.columns import BOM, check_header, is_record
from parsing.lines import read_lines
from spark import pieces
from spark.pieces import Piece, parse_piece, survey
from transform import Rejects, split_report


class Found(NamedTuple):
    """The rows of a report, in order of lines, and how many records it has."""

    rows: list[bytes]
    errors: list[list[str]]
    read: int


def number_of(row: bytes) -> int:
    return int(row.rpartition(b",")[2])


def staged(content: bytes) -> Found:
    """Return what transform gives."""
    statistics, errors = io.BytesIO(), io.BytesIO()
    tally = split_report(io.BytesIO(content), statistics, Rejects(lambda: errors))
    rejected = sorted(csv.reader(io.StringIO(errors.getvalue().decode(), newline="")), key=lambda row: int(row[0]))
    return Found(sorted(statistics.getvalue().splitlines(True), key=number_of), rejected, tally.read)


def in_pieces(content: bytes, size: int, erased: frozenset[int] = frozenset()) -> Found:
    """Return what the pieces give; the sums of the survey must fit."""
    found = survey(io.BytesIO(content), size)
    assert (found.sha256, found.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert [piece.end for piece, _ in pairwise(found.pieces)] == [piece.start for _, piece in pairwise(found.pieces)]
    if fault := check_header(found.header):
        refused = faults.error_row(1, faults.rejection_of([fault]), found.header)
        return Found([], [list(map(str, refused))], 0)
    parsed = [part for piece in found.pieces for part in parse_piece(io.BytesIO(content), piece, erased)]
    rows = [row for part in parsed for row in part.rows]
    errors = [list(map(str, row)) for part in parsed for row in sorted(part.errors)]
    assert found.lines == 1 + len(rows) + len(errors) + sum(part.passed_over for part in parsed)
    return Found(sorted(rows, key=number_of), errors, len(rows) + len(errors))


TEXTS = st.one_of(
    st.sampled_from(
        [
            line(),
            line("ñandú@example.com"),
            line(opened="31/02/2013 10:00"),
            HEADER,
            BOM,
            b"\r",
            b"\n",
            b"\r\n",
            b" \t\n",
            b"\0",
            b'"',
            b"a" * 95,
            b"a" * 700,
        ]
    ),
    st.binary(max_size=9),
)
FILES = st.lists(TEXTS, max_size=9).map(b"".join)


@pytest.mark.parametrize("limit", [1 << 20, 700], ids=["as-it-is", "short-lines-are-long"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=FILES, head=st.sampled_from([HEADER, BOM + HEADER, b""]), size=st.integers(1, 400))
@example(body=b"", head=b"", size=1)
@example(body=b"", head=HEADER.rstrip(), size=1)
@example(body=b"\r", head=HEADER, size=7)
@example(body=line() + b"\r", head=HEADER, size=len(HEADER + line()))
def test_pieces_give_what_transform_gives(
    monkeypatch: pytest.MonkeyPatch, limit: int, body: bytes, head: bytes, size: int
) -> None:
    """With a low limit, lines that are too long, and lines that lie in several blocks, come often."""
    named: list[tuple[ModuleType, str]] = [(columns, "LINE_LIMIT"), (lines, "LINE_LIMIT"), (lines, "BLOCK"), (pieces, "BLOCK")]
    for module, name in named:
        monkeypatch.setattr(module, name, limit)
    content = head + body
    assert in_pieces(content, size) == staged(content)


LIMIT = 1 << 20


@pytest.mark.parametrize("size", [997, LIMIT - 1, LIMIT, LIMIT + 1, 1 << 26])
@pytest.mark.parametrize(
    "body",
    [
        b"x" * (3 * LIMIT),
        b"x" * (3 * LIMIT) + b"\n" + line(),
        *(b"x" * (LIMIT + more) + end + line() for more in (-1, 0, 1) for end in (b"\n", b"\r\n")),
        line() * 30_000,
    ],
    ids=lambda body: str(len(body)),
)
def test_long_lines_and_large_files(body: bytes, size: int) -> None:
    content = HEADER + body
    assert in_pieces(content, size) == staged(content)


@pytest.mark.parametrize("size", [997, 1 << 26])
def test_real_reports(real: Path, size: int) -> None:
    reports = sorted(real.glob("report_*.txt"))
    assert reports
    for path in reports:
        assert in_pieces(path.read_bytes(), size) == staged(path.read_bytes()), path.name


@given(body=FILES, size=st.integers(1, 400), erased=st.frozensets(st.integers(2, 9)))
def test_erased_lines_are_passed_over(body: bytes, size: int, erased: frozenset[int]) -> None:
    content = HEADER + body
    every, rest = in_pieces(content, size), in_pieces(content, size, erased)
    assert rest.rows == [row for row in every.rows if number_of(row) not in erased]
    assert rest.errors == [row for row in every.errors if int(row[0]) not in erased]


def test_a_piece_holds_whole_lines_and_no_line_twice() -> None:
    content = HEADER + line() * 3
    last = len(HEADER + line() * 2) - 1  # the LF of line 3: line 4 begins behind it
    assert [number_of(row) for part in parse_piece(io.BytesIO(content), Piece(0, last, 1)) for row in part.rows] == [2, 3]
    assert [number_of(row) for part in parse_piece(io.BytesIO(content), Piece(last, 999, 4)) for row in part.rows] == [4]
    assert list(parse_piece(io.BytesIO(content), Piece(last + 1, last + 2, 5))) == []
    assert sum(map(is_record, read_lines(io.BytesIO(content)))) == 4

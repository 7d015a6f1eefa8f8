"""What Spark's workers do: parse pieces of reports, and give their lines as Arrow batches."""

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import accumulate, groupby
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv, fs

from parsing import columns
from parsing.faults import ErrorRow
from spark.pieces import PIECE, Parsed, Piece, parse_piece

ARROW = {
    "int": pa.int32(),
    "string": pa.string(),
    "timestamp_ntz": pa.timestamp("us"),
    "array<string>": pa.list_(pa.string()),
}
OF_PARSERS: dict[columns.Parser, str] = {
    columns.parse_number: "int",
    columns.parse_date: "timestamp_ntz",
    columns.parse_required_date: "timestamp_ntz",
}
REPORT = {column.name: OF_PARSERS.get(column.parse, "string") for column in columns.COLUMNS}
STATISTICS = {"file_id": "int", "line_number": "int"} | REPORT
ERRORS = {"file_id": "int", "line_number": "int", "codes": "array<string>", "message": "string", "raw_line": "string"}
LINES = STATISTICS | ERRORS | {"passed_over": "int"}  # a row is a valid line, a rejected line, or the number of others
SCHEMA = pa.schema([(name, ARROW[kind]) for name, kind in LINES.items()])
AS_COPY_READS = csv.ConvertOptions(
    column_types={name: ARROW[kind] for name, kind in REPORT.items()} | {"line_number": pa.int32()},
    null_values=[""],  # and no other word: NA is a text
    strings_can_be_null=True,
)


class Part(NamedTuple):
    """A piece of a report where all workers can read it."""

    file_id: int
    url: str
    piece: Piece
    erased: frozenset[int]  # lines of people who were forgotten


def tasks_of(parts: Iterable[Part]) -> list[list[Part]]:
    """Return the parts as tasks of about PIECE bytes: small reports share a task."""
    parts = list(parts)
    ends = accumulate(part.piece.end - part.piece.start for part in parts)
    shares = groupby(zip(ends, parts, strict=True), lambda pair: (pair[0] - 1) // PIECE)
    return [[part for _, part in share] for _, share in shares]


def parser_of(tasks: list[list[Part]]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what a worker does with the numbers of tasks: it gives the lines of each task."""

    def parse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for part in tasks[number]:
                    yield from parse_part(part)

    return parse


def parse_part(part: Part) -> Iterator[pa.RecordBatch]:
    """Yield the lines of a part."""
    filesystem, path = fs.FileSystem.from_uri(part.url)
    with filesystem.open_input_file(path) as report:
        for parsed in parse_piece(report, part.piece, part.erased):
            yield from batches_of(part.file_id, parsed)


def batches_of(file_id: int, parsed: Parsed) -> Iterator[pa.RecordBatch]:
    """Yield what some lines give, as rows of LINES."""
    if parsed.rows:
        yield batch_of(file_id, len(parsed.rows), valid(parsed.rows))
    if parsed.errors:
        yield batch_of(file_id, len(parsed.errors), rejected(parsed.errors))
    yield batch_of(file_id, 1, {"passed_over": pa.array([parsed.passed_over], pa.int32())})


def valid(rows: list[bytes]) -> dict[str, pa.Array]:
    """Return rows for statistics, as COPY reads them, by column."""
    text = b"".join(rows)
    names = csv.ReadOptions(column_names=[*REPORT, "line_number"], block_size=len(text) + 1, use_threads=False)
    table = csv.read_csv(BytesIO(text), names, convert_options=AS_COPY_READS)
    return {name: table[name].combine_chunks() for name in table.column_names}


def rejected(rows: list[ErrorRow]) -> dict[str, pa.Array]:
    """Return rows for errors, by column."""
    numbers, codes, messages, raw_lines = zip(*rows, strict=True)
    return {
        "line_number": pa.array(numbers, pa.int32()),
        "codes": pa.array([code.strip("{}").split(",") for code in codes], ARROW["array<string>"]),
        "message": pa.array(messages, pa.string()),
        "raw_line": pa.array(raw_lines, pa.string()),
    }


def batch_of(file_id: int, count: int, found: dict[str, pa.Array]) -> pa.RecordBatch:
    """Return ``count`` rows of LINES; what is not found is NULL."""
    found = found | {"file_id": pa.array([file_id] * count, pa.int32())}
    return pa.RecordBatch.from_arrays([found.get(field.name, pa.nulls(count, field.type)) for field in SCHEMA], schema=SCHEMA)

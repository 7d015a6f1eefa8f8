"""The rows of one report on their way into the tables."""

import os
from itertools import islice
from typing import IO, Any, NamedTuple

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import cursor

from base.fate import Fate
from base.progress import progress_reader
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import Report, Verdict
from parsing.faults import Code, Fault, error_row, rejection_of
from parsing.lines import read_lines
from postgres.diagnosis import sentence
from postgres.statements import one, prepare_once, query

COPY_BLOCK = 1 << 18  # bytes
PIECE = 1 << 23  # bytes of staged lines that are tried together once Postgres has refused one of them
# SQLSTATE classes of a refusal that is about the row: anything else is about the server or the program.
ROW_CLASSES = (
    errorcodes.CLASS_DATA_EXCEPTION,
    errorcodes.CLASS_INTEGRITY_CONSTRAINT_VIOLATION,
    errorcodes.CLASS_PROGRAM_LIMIT_EXCEEDED,
    errorcodes.CLASS_PL_PGSQL_ERROR,
)


class Staged(NamedTuple):
    """A report that is ready to be loaded."""

    report: Report
    verdict: Verdict
    file_id: int  # the id that it gets


class Insertion:
    """The lines of one report on their way into the tables, less those that Postgres refuses."""

    def __init__(self, cursor: cursor, staged: Staged, settings: Settings) -> None:
        self.cursor = cursor
        self.report, self.verdict, file_id = staged
        # How visits are counted.
        self.rule: dict[str, Any] = {"file_id": file_id, "as_of": settings.as_of, "visit_event": settings.visit_event}
        self.max_error_rate = settings.max_error_rate
        self.loaded = self.visitors_new = self.visitors_updated = 0
        self.rejected = 0  # lines with faults; of a quarantined report, the others are not loaded either
        self.refused: dict[int, Fault] = {}  # line number: Postgres's reason

    def insert(self) -> Fate:
        """Insert what is staged, count its visits, and return what becomes of the report.

        A report with a larger share of rejected lines than MAX_ERROR_RATE is quarantined: nothing of it but its faults
        is kept. Raise StageError if what is staged is not what the verdict says.
        """
        self.insert_errors()
        if self.verdict.fate == Fate.REFUSED:
            return Fate.REFUSED
        self.rejected = self.verdict.rows_read - self.verdict.rows_accepted
        if not self.is_too_much():
            self.insert_visits()
            self.rejected = self.verdict.rows_read - self.loaded
            if not self.is_too_much():
                return Fate.LOADED
            self.take_back()
        fault = Fault(Code.ERROR_RATE, value=f"{self.rejected} of {self.verdict.rows_read}")
        self.add_errors({1: fault})
        return Fate.QUARANTINED

    def is_too_much(self) -> bool:
        """Return whether the rejected lines are a larger share of the report than MAX_ERROR_RATE."""
        read = self.verdict.rows_read
        return read > 0 and self.rejected / read > self.max_error_rate

    def insert_visits(self) -> None:
        """Insert the staged lines and count their visits, piece by piece if Postgres refuses a line."""
        with self.staged_lines() as lines:
            try:
                self.loaded = self.copy_lines(lines, 0, size_of(lines))
                # The mails first: once a visitor is ours, another load may wait for it.
                self.count_visits(first=prepare_once(self.cursor, "load/file_campaign"))
            except psycopg2.Error as error:
                if not is_about_row(error):
                    raise
                self.take_back()
                self.insert_pieces(lines)
        if self.loaded + len(self.refused) != self.verdict.rows_accepted:
            raise self.damaged()

    def take_back(self) -> None:
        """Take back all but the rows for errors."""
        self.cursor.execute("rollback to savepoint report")
        self.loaded = self.visitors_new = self.visitors_updated = 0
        self.insert_errors()
        self.add_errors(self.refused)

    def insert_pieces(self, lines: IO[bytes]) -> None:
        """Insert the staged lines but for those that Postgres refuses, which go to errors."""
        start, size = 0, size_of(lines)
        while start < size:
            lines.seek(start + PIECE)
            lines.readline()
            end = min(lines.tell(), size)
            self.insert_piece(lines, start, end)
            start = end
        self.add_errors(self.refused)
        self.cursor.execute(prepare_once(self.cursor, "load/file_campaign"), self.rule)
        self.count_visitors_anew()

    def staged_lines(self) -> IO[bytes]:
        """Open what is staged for statistics."""
        try:
            return self.report.staged("statistics.csv").open("rb")
        except FileNotFoundError:
            raise self.damaged() from None

    def damaged(self) -> StageError:
        """Have the report staged again and return the trouble."""
        self.report.staged("verdict.json").unlink(missing_ok=True)
        return StageError(
            Status.DISK,
            f"the files staged from {self.report.name} are damaged.",
            "nothing of it was loaded; the next run stages it again.",
        )

    def insert_errors(self) -> None:
        """Insert the rows staged for errors."""
        if not self.verdict.error_rows:
            return
        try:
            with self.report.staged("errors.csv").open("rb") as errors:
                self.cursor.copy_expert(query("load/errors_copy"), errors, COPY_BLOCK)
        except (FileNotFoundError, psycopg2.DataError):
            raise self.damaged() from None
        if self.cursor.rowcount != self.verdict.error_rows:
            raise self.damaged()

    def insert_piece(self, lines: IO[bytes], start: int, end: int) -> None:
        """Insert the staged lines from byte ``start`` to ``end`` and count their visits.

        A piece that Postgres refuses is halved until the line is found.
        """
        self.cursor.execute("savepoint piece")
        try:
            loaded = self.copy_lines(lines, start, end)
            self.count_visits(line_numbers(lines, start, end))
            self.cursor.execute("release savepoint piece")
            self.loaded += loaded
        except psycopg2.Error as error:
            if not is_about_row(error):
                raise
            self.cursor.execute("rollback to savepoint piece; release savepoint piece")
            if middle := middle_of(lines, start, end):
                self.insert_piece(lines, start, middle)
                self.insert_piece(lines, middle, end)
            else:
                (number,) = line_numbers(lines, start, end)
                self.refused[number] = Fault(Code.LOAD_REFUSED, value=sentence(error))

    def copy_lines(self, lines: IO[bytes], start: int, end: int) -> int:
        """Copy staged lines into statistics and return how many they are."""
        lines.seek(start)
        self.cursor.copy_expert(query("load/statistics_copy"), progress_reader(Span(lines, end)), COPY_BLOCK)
        return self.cursor.rowcount

    def count_visits(self, line_numbers: list[int] | None = None, first: str = "") -> None:
        """Count the visits of these lines of the report, None: of all, once the statement ``first`` is done."""
        upsert = prepare_once(self.cursor, "load/visitor_upsert")
        self.cursor.execute(first + upsert, self.rule | {"line_numbers": line_numbers})
        ((new, updated),) = self.cursor.fetchall()
        self.visitors_new += new
        self.visitors_updated += updated

    def count_visitors_anew(self) -> None:
        """Count an address once that came in two pieces: the first may have made it, the second updated it."""
        (visitors,) = one(self.cursor, "load/visitors_of_file", self.rule)
        self.visitors_updated = visitors - self.visitors_new

    def add_errors(self, faults: dict[int, Fault]) -> None:
        """Add rows to errors for lines with these faults, by line number; each line as it was received."""
        if not faults:
            return
        with self.report.path.open("rb") as file:
            for number, line in enumerate(islice(read_lines(file), max(faults)), 1):
                if fault := faults.get(number):
                    self.cursor.execute(query("load/errors_add"), error_row(number, rejection_of([fault]), line))


class Span:
    """A part of a file that ends before the file does, as COPY reads it."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self.file = file
        self.end = end

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end of the part."""
        return self.file.read(min(size, self.end - self.file.tell()))


def middle_of(lines: IO[bytes], start: int, end: int) -> int | None:
    """Return where the part's middle line begins, or None if the part is one line."""
    lines.seek((start + end) // 2)
    lines.readline()
    if (middle := lines.tell()) < end:
        return middle
    lines.seek(start)  # its last line is longer than all before it
    middle = start
    while (following := middle + len(lines.readline())) < end:
        middle = following
    return middle if middle > start else None


def is_about_row(error: psycopg2.Error) -> bool:
    """Return whether Postgres refuses a row, and not the whole work."""
    return (error.pgcode or "")[:2] in ROW_CLASSES


def size_of(file: IO[bytes]) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def line_numbers(lines: IO[bytes], start: int, end: int) -> list[int]:
    """Return the report's line numbers of the staged lines from byte ``start`` to ``end``, in their order."""
    lines.seek(start)
    return [int(line.rpartition(b",")[2]) for line in lines.read(end - start).splitlines()]

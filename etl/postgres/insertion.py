"""The rows of one report on their way into the tables."""

import os
from typing import IO, Any, NamedTuple

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import cursor

from base.progress import progress_reader
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import Report, Verdict
from parsing.faults import Code, Fault, error_row, exceeds, rejection_of
from parsing.lines import read_lines
from postgres.database import one, prepare_once, query, sentence

COPY_BLOCK = 1 << 18  # bytes
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
        self.rejected = self.loaded = self.visitors_new = self.visitors_updated = 0
        self.refused: dict[int, Fault] = {}  # line number: Postgres's reason

    def insert(self) -> None:
        """Insert what is staged and count its visits, piece by piece if Postgres refuses a line.

        Raise StageError if what is staged is not what the verdict says.
        """
        self.insert_errors()
        if self.verdict.rows_accepted:
            with self.staged_lines() as lines:
                try:
                    self.loaded = self.copy_lines(lines, 0, size_of(lines))
                    # The mails first: once a visitor is ours, another load may wait for it.
                    self.count_visits(self.rule, prepare_once(self.cursor, "load/file_campaign"))
                except psycopg2.Error as error:
                    if not is_about_row(error):
                        raise
                    self.insert_pieces(lines)
        if (self.loaded + len(self.refused), self.rejected) != (self.verdict.rows_accepted, self.verdict.error_rows):
            raise self.damaged()

    def insert_pieces(self, lines: IO[bytes]) -> None:
        """Start over; insert the staged lines but for those that Postgres refuses, which go to errors."""
        self.cursor.execute("rollback to savepoint report")
        self.loaded = 0
        self.insert_errors()
        self.insert_lines(lines, 0, size_of(lines))
        self.keep_refused()
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
        self.rejected = self.cursor.rowcount

    def is_too_faulty(self, max_error_rate: float) -> bool:
        """Return whether what Postgres refused is what makes the report exceed MAX_ERROR_RATE."""
        read = self.verdict.rows_read
        return self.verdict.status == "loaded" and exceeds(read - self.loaded, read, max_error_rate)

    def quarantine(self) -> None:
        """Keep nothing of the report but its faults."""
        rejected = self.verdict.rows_read - self.loaded
        self.cursor.execute("rollback to savepoint report")
        self.loaded = self.visitors_new = self.visitors_updated = 0
        self.insert_errors()
        self.keep_refused()
        fault = Fault(Code.ERROR_RATE, value=f"{rejected} of {self.verdict.rows_read}")
        with self.report.path.open("rb") as file:
            self.cursor.execute(query("load/errors_add"), error_row(1, rejection_of([fault]), next(read_lines(file))))

    def insert_lines(self, lines: IO[bytes], start: int, end: int) -> None:
        """Insert the staged lines from byte ``start`` to ``end`` and count their visits.

        What Postgres refuses is halved until the line is found. Such pieces have the negative file id
        until their visits are counted, so that they are counted alone.
        """
        if start == end:
            return
        self.cursor.execute("savepoint lines")
        try:
            rule = self.rule | {"file_id": -self.rule["file_id"]}
            self.cursor.execute(query("load/file_current"), rule)
            loaded = self.copy_lines(lines, start, end)
            self.count_visits(rule)
            self.cursor.execute(query("load/piece_counted"), self.rule)
            self.cursor.execute("release savepoint lines")
            self.loaded += loaded
        except psycopg2.Error as error:
            if not is_about_row(error):
                raise
            self.cursor.execute("rollback to savepoint lines; release savepoint lines")
            if middle := middle_of(lines, start, end):
                self.insert_lines(lines, start, middle)
                self.insert_lines(lines, middle, end)
            else:
                self.refused[line_number(lines, start)] = Fault(Code.LOAD_REFUSED, value=sentence(error))

    def copy_lines(self, lines: IO[bytes], start: int, end: int) -> int:
        """Copy staged lines into statistics and return how many they are."""
        lines.seek(start)
        self.cursor.copy_expert(query("load/statistics_copy"), progress_reader(Span(lines, end)), COPY_BLOCK)
        return self.cursor.rowcount

    def count_visits(self, rule: dict[str, Any], first: str = "") -> None:
        """Count the visits of the file that the rule names, once the statement ``first`` is done."""
        self.cursor.execute(first + prepare_once(self.cursor, "load/visitor_upsert"), rule)
        ((new, updated),) = self.cursor.fetchall()
        self.visitors_new += new
        self.visitors_updated += updated

    def count_visitors_anew(self) -> None:
        """Count an address once that came in two pieces: the first may have made it, the second updated it."""
        (visitors,) = one(self.cursor, "load/visitors_of_file", self.rule)
        self.visitors_updated = visitors - self.visitors_new

    def keep_refused(self) -> None:
        """Enter the refused lines in errors, as they were received."""
        self.cursor.execute(query("load/file_current"), self.rule)
        with self.report.path.open("rb") as file:
            for number, line in enumerate(read_lines(file), 1):
                if fault := self.refused.get(number):
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


def line_number(lines: IO[bytes], start: int) -> int:
    """Return the report's line number of the staged line that begins at byte ``start``."""
    lines.seek(start)
    return int(lines.readline().rpartition(b",")[2])

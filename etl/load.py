"""Load every staged report into Postgres, one transaction each, and keep the visitors' counters right."""

import logging
import os
from dataclasses import replace
from typing import IO, Any

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import cursor

import ledger
from database import Database, query, sentence
from faults import Code, Fault, error_row, exceeds
from ledger import Run
from lines import read_lines
from outage import Outage
from settings import Settings
from stage import own_process
from trouble import StageError, Status
from workdir import Manifest, Report, WorkDir, natural

COPY_BLOCK = 1 << 18  # bytes
PIECE = 0  # the file id of lines that are inserted piece by piece
# SQLSTATE classes of a refusal that is about the row: anything else is about the server or the program.
ROW_CLASSES = (
    errorcodes.CLASS_DATA_EXCEPTION,
    errorcodes.CLASS_INTEGRITY_CONSTRAINT_VIOLATION,
    errorcodes.CLASS_PROGRAM_LIMIT_EXCEEDED,
    errorcodes.CLASS_PL_PGSQL_ERROR,
)

log = logging.getLogger("etl.load")


def main(settings: Settings, run: Run) -> Status:
    """Load what is staged and, with or without it, bring the counters to the as-of date."""
    database = Database(settings)
    status = Status.DONE
    database.run(prepare, run, settings)
    for report in WorkDir(settings).reports():
        if manifest := report.manifest():
            try:
                outcome = database.run(load_report, report, manifest, run, settings)
            except Outage:
                raise
            except StageError as error:  # this file only: the others go on
                log.error("%s: %s", report.name, error)
                status = error.status
                continue
            if outcome in ("refused", "quarantined"):
                log.warning("%s is %s. Hint: errors, line 1 of that file, says why.", report.name, outcome)
                status = status or Status.REFUSED
    database.run(notice_gaps, run, WorkDir(settings).left())
    database.close()
    return status


def notice_gaps(cursor: cursor, run: Run, left: list[str]) -> None:
    """Warn of reports that are missing between those that came, once each; not of those that extract has left for later."""
    if missing := sorted(ledger.notice_gaps(cursor, run, left), key=natural):
        log.warning("missing in the consecutive numbers: %s. Hint: ask the sender; each is named once.", ", ".join(missing))


def prepare(cursor: cursor, run: Run, settings: Settings) -> None:
    """Make the transaction one of this run: keep other loads out, and count by this run's rule from here on."""
    cursor.execute(query("load_lock"))
    ledger.open_run(cursor, run, settings)
    wanted = {"as_of": settings.as_of, "visit_event": settings.visit_event}
    basis = ledger.one(cursor, "basis")
    if basis == tuple(wanted.values()):
        return
    if basis is None or basis[1] != settings.visit_event:
        cursor.execute(query("visitor_recount"), wanted)
    elif (basis[0].year, basis[0].month) != (settings.as_of.year, settings.as_of.month):
        cursor.execute(query("visitor_rollover"), wanted)
    log.info("counters moved from=%s to=%s visitors_changed=%d", basis, tuple(wanted.values()), cursor.rowcount)
    cursor.execute(query("basis_set"), wanted)


def load_report(cursor: cursor, report: Report, manifest: Manifest, run: Run, settings: Settings) -> str | None:
    """Load one report and return its status, or None if an earlier run had committed it."""
    prepare(cursor, run, settings)
    delivery = ledger.begin_file(cursor, manifest)
    if delivery.known:
        return None
    insertion = Insertion(cursor, {"file_id": delivery.file_id, "as_of": settings.as_of, "visit_event": settings.visit_event})
    if delivery.loaded:
        manifest = replace(manifest, status="duplicate", rows_read=0)
    else:
        cursor.execute("savepoint report")
        insertion.insert_report(report, manifest)
        if insertion.is_too_faulty(manifest, settings.max_error_rate):
            cursor.execute("rollback to savepoint report")
            manifest = replace(manifest, status="quarantined")
            insertion.quarantine(report, manifest)
    counts = {
        "rows_read": manifest.rows_read,
        "rows_loaded": insertion.loaded,
        "rows_rejected": manifest.rows_read - insertion.loaded,
        "visitors_new": insertion.visitors_new,
        "visitors_updated": insertion.visitors_updated,
    }
    ledger.add_file(cursor, run, delivery, manifest, counts)
    if delivery.name_reused:
        log.warning("%s came before with another content. Hint: ask the sender which one counts; both are kept.", report.name)
    log.info("%s %s %s", manifest.status, report.name, " ".join(f"{name}={count}" for name, count in counts.items()))
    return manifest.status


class Insertion:
    """The lines of one report on their way into the tables, less those that Postgres refuses."""

    def __init__(self, cursor: cursor, rule: dict[str, Any]) -> None:
        self.cursor = cursor
        self.rule = rule  # file_id, as_of and visit_event: how visits are counted
        self.loaded = self.visitors_new = self.visitors_updated = 0
        self.refused: dict[int, Fault] = {}  # line number: Postgres's reason

    def insert_report(self, report: Report, manifest: Manifest) -> None:
        """Insert everything staged from the report, or raise StageError if that is not what its manifest says."""
        try:
            rejected = self.insert_errors(report)
            with report.staged("statistics.csv").open("rb") as lines:
                self.insert_lines(lines, 0, os.fstat(lines.fileno()).st_size, self.rule["file_id"])
        except (FileNotFoundError, psycopg2.DataError):  # lines that Postgres refuses do not get here, only staged errors
            raise self.damaged(report) from None
        if self.refused:
            self.keep_refused(report)
            self.count_visitors_anew()
        if (self.loaded + len(self.refused), rejected) != (manifest.rows_accepted, manifest.error_rows):
            raise self.damaged(report)

    def damaged(self, report: Report) -> StageError:
        """Have the report staged again and return the trouble."""
        report.staged("manifest.json").unlink(missing_ok=True)
        return StageError(
            Status.DISK,
            f"the files staged from {report.name} are damaged.",
            "nothing of it was loaded; the next run stages it again.",
        )

    def insert_errors(self, report: Report) -> int:
        """Insert the rows staged for errors and return how many there were."""
        with report.staged("errors.csv").open("rb") as errors:
            self.cursor.copy_expert(query("errors_copy"), errors, COPY_BLOCK)
        return self.cursor.rowcount

    def is_too_faulty(self, manifest: Manifest, max_error_rate: float) -> bool:
        """Return whether what Postgres refused is what makes the report exceed MAX_ERROR_RATE."""
        return manifest.status == "loaded" and exceeds(manifest.rows_read - self.loaded, manifest.rows_read, max_error_rate)

    def quarantine(self, report: Report, manifest: Manifest) -> None:
        """Keep nothing of the report but its faults."""
        rejected = manifest.rows_read - self.loaded
        self.loaded = self.visitors_new = self.visitors_updated = 0
        self.insert_errors(report)
        self.keep_refused(report)
        fault = Fault(Code.ERROR_RATE, value=f"{rejected} of {manifest.rows_read}")
        with report.path.open("rb") as source:
            self.cursor.execute(query("errors_add"), error_row(1, [fault], next(read_lines(source))))

    def count_visitors_anew(self) -> None:
        """Count an address once that came in two pieces: the first may have made it, the second updated it."""
        (visitors,) = ledger.one(self.cursor, "visitors_of_file", self.rule)
        self.visitors_updated = visitors - self.visitors_new

    def insert_lines(self, lines: IO[bytes], start: int, end: int, file_id: int) -> None:
        """Insert the staged lines from byte ``start`` to ``end`` and count their visits.

        What Postgres refuses is halved until the line is found. Such pieces are file PIECE until
        their visits are counted, so that they are counted alone.
        """
        if start == end:
            return
        self.cursor.execute("savepoint lines")
        try:
            self.copy(lines, start, end, file_id)
        except psycopg2.Error as error:
            if (error.pgcode or "")[:2] not in ROW_CLASSES:
                raise
            self.cursor.execute("rollback to savepoint lines; release savepoint lines")
            if middle := middle_of(lines, start, end):
                self.insert_lines(lines, start, middle, PIECE)
                self.insert_lines(lines, middle, end, PIECE)
            else:
                self.refused[line_number(lines, start)] = Fault(Code.LOAD_REFUSED, value=sentence(error))

    def copy(self, lines: IO[bytes], start: int, end: int, file_id: int) -> None:
        """Copy staged lines into statistics and count their visits."""
        rule = self.rule | {"file_id": file_id}
        self.cursor.execute(query("file_current"), rule)
        lines.seek(start)
        self.cursor.copy_expert(query("statistics_copy"), Span(lines, end), COPY_BLOCK)  # type: ignore[arg-type]  # it only reads
        loaded = self.cursor.rowcount
        new, updated = ledger.one(self.cursor, "visitor_upsert", rule)
        if file_id == PIECE:
            self.cursor.execute(query("piece_counted"), self.rule)
        self.cursor.execute("release savepoint lines")
        self.loaded += loaded
        self.visitors_new += new
        self.visitors_updated += updated

    def keep_refused(self, report: Report) -> None:
        """Enter the refused lines in errors, as they were received."""
        self.cursor.execute(query("file_current"), self.rule)
        with report.path.open("rb") as source:
            for number, line in enumerate(read_lines(source), 1):
                if fault := self.refused.get(number):
                    self.cursor.execute(query("errors_add"), error_row(number, [fault], line))


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


def line_number(lines: IO[bytes], start: int) -> int:
    """Return the report's line number of the staged line that begins at byte ``start``."""
    lines.seek(start)
    return int(lines.readline().rpartition(b",")[2])


if __name__ == "__main__":
    own_process("load", main)

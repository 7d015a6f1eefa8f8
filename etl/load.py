"""Load every staged report into Postgres, one transaction each, and keep the visitors' counters right."""

import logging
import os
from dataclasses import replace
from typing import IO, Any, NamedTuple

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import cursor

import ledger
from database import Database, query, sentence
from faults import Code, Fault, error_row, exceeds
from lanes import side_by_side
from ledger import Run
from lines import read_lines
from outage import Outage
from progress import progress, watched
from settings import Settings
from stage import own_process
from trouble import StageError, Status
from workdir import Manifest, Report, WorkDir, natural

LANES = 2  # connections that load at the same time
COPY_BLOCK = 1 << 18  # bytes
NAMED = 10  # missing reports in a message
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
    work = WorkDir(settings)
    status = load_reports(work.reports(), run, settings)
    database = Database(settings)
    database.run(notice_gaps, run, work.left())
    database.close()
    return status


def notice_gaps(cursor: cursor, run: Run, left: list[str]) -> None:
    """Warn of reports that are missing between those that came, once each; not of those that extract has left for later."""
    if missing := sorted(ledger.notice_gaps(cursor, run, left), key=natural):
        more = f" and {len(missing) - NAMED} more, see load_gap" if len(missing) > NAMED else ""
        log.warning(
            "missing in the consecutive numbers: %s%s. Hint: ask the sender; each is named once.",
            ", ".join(missing[:NAMED]),
            more,
        )


class Staged(NamedTuple):
    """A report that is ready to be loaded."""

    report: Report
    manifest: Manifest
    file_id: int  # the id that it gets


def load_reports(reports: list[Report], run: Run, settings: Settings) -> Status:
    """Load those that are staged and return the gravest status; raise Outage once waiting has not helped.

    Postgres works on LANES of them at a time. Copies of one another are loaded one after the other.
    """
    manifests = [(report, manifest) for report in reports if (manifest := report.manifest())]
    lanes = [Database(settings) for _ in range(LANES)]
    lanes[0].run(prepare, run, settings)
    twins: dict[str, list[Staged]] = {}
    for known, file_id in zip(manifests, lanes[0].run(ledger.reserve_ids, len(manifests)), strict=True):
        staged = Staged(*known, file_id)
        twins.setdefault(staged.manifest.sha256, []).append(staged)

    def load_twins(lane: Database, group: list[Staged]) -> Status:
        return max(load_safely(lane, staged, run, settings) for staged in group)

    with progress("load", sum(report.staged_bytes() for report, _ in manifests)):
        status = max(side_by_side(lanes, load_twins, twins.values()), default=Status.DONE)
    for lane in lanes:
        lane.close()
    return status


def load_safely(database: Database, staged: Staged, run: Run, settings: Settings) -> Status:
    """Load one report and return its status; what is wrong with it stops no other."""
    name = staged.report.name
    try:
        outcome = database.run(load_report, staged, run, settings)
    except Outage:
        raise
    except StageError as error:
        log.error("%s: %s", name, error)
        return error.status
    if outcome in ("refused", "quarantined"):
        log.warning("%s is %s. Hint: errors, line 1 of that file, says why.", name, outcome)
        return Status.REFUSED
    return Status.DONE


def prepare(cursor: cursor, run: Run, settings: Settings) -> None:
    """Wait for all loading to end, enter the run, and count by its rule from here on."""
    cursor.execute(query("basis_lock"))
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


def load_report(cursor: cursor, staged: Staged, run: Run, settings: Settings) -> str | None:
    """Load one report and return its status, or None if an earlier run had committed it."""
    report, manifest, file_id = staged
    cursor.execute(query("load_lock"))
    if ledger.one(cursor, "basis") != (settings.as_of, settings.visit_event):
        raise StageError(Status.LOCKED, "another run counts by another rule now.", "it is loaded by the next run.")
    delivery = ledger.look(cursor, manifest)
    if delivery.known:
        return None
    insertion = Insertion(cursor, staged, settings)
    if delivery.loaded:
        manifest = replace(manifest, status="duplicate", rows_read=0)
    else:
        insertion.insert()
        if insertion.is_too_faulty(settings.max_error_rate):
            insertion.quarantine()
            manifest = replace(manifest, status="quarantined")
    counts = {
        "file_id": file_id,
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

    def __init__(self, cursor: cursor, staged: Staged, settings: Settings) -> None:
        self.cursor = cursor
        self.report, self.manifest, file_id = staged
        # How visits are counted.
        self.rule: dict[str, Any] = {"file_id": file_id, "as_of": settings.as_of, "visit_event": settings.visit_event}
        self.rejected = self.loaded = self.visitors_new = self.visitors_updated = 0
        self.refused: dict[int, Fault] = {}  # line number: Postgres's reason

    def insert(self) -> None:
        """Insert what is staged and count its visits, piece by piece if Postgres refuses a line.

        Raise StageError if what is staged is not what the manifest says.
        """
        self.cursor.execute(query("file_current"), self.rule)
        self.cursor.execute("savepoint report")
        self.insert_errors()
        if self.manifest.rows_accepted:
            with self.staged_lines() as lines:
                try:
                    self.loaded = self.copy_lines(lines, 0, size_of(lines))
                    self.count_visits(self.rule)
                except psycopg2.Error as error:
                    if not is_about_row(error):
                        raise
                    self.insert_pieces(lines)
        if (self.loaded + len(self.refused), self.rejected) != (self.manifest.rows_accepted, self.manifest.error_rows):
            raise self.damaged()

    def insert_pieces(self, lines: IO[bytes]) -> None:
        """Start over; insert the staged lines but for those that Postgres refuses, which go to errors."""
        self.cursor.execute("rollback to savepoint report")
        self.loaded = 0
        self.insert_errors()
        self.insert_lines(lines, 0, size_of(lines))
        self.keep_refused()
        self.count_visitors_anew()

    def staged_lines(self) -> IO[bytes]:
        """Open what is staged for statistics."""
        try:
            return self.report.staged("statistics.csv").open("rb")
        except FileNotFoundError:
            raise self.damaged() from None

    def damaged(self) -> StageError:
        """Have the report staged again and return the trouble."""
        self.report.staged("manifest.json").unlink(missing_ok=True)
        return StageError(
            Status.DISK,
            f"the files staged from {self.report.name} are damaged.",
            "nothing of it was loaded; the next run stages it again.",
        )

    def insert_errors(self) -> None:
        """Insert the rows staged for errors."""
        if not self.manifest.error_rows:
            return
        try:
            with self.report.staged("errors.csv").open("rb") as errors:
                self.cursor.copy_expert(query("errors_copy"), errors, COPY_BLOCK)
        except (FileNotFoundError, psycopg2.DataError):
            raise self.damaged() from None
        self.rejected = self.cursor.rowcount

    def is_too_faulty(self, max_error_rate: float) -> bool:
        """Return whether what Postgres refused is what makes the report exceed MAX_ERROR_RATE."""
        read = self.manifest.rows_read
        return self.manifest.status == "loaded" and exceeds(read - self.loaded, read, max_error_rate)

    def quarantine(self) -> None:
        """Keep nothing of the report but its faults."""
        rejected = self.manifest.rows_read - self.loaded
        self.cursor.execute("rollback to savepoint report")
        self.loaded = self.visitors_new = self.visitors_updated = 0
        self.insert_errors()
        self.keep_refused()
        fault = Fault(Code.ERROR_RATE, value=f"{rejected} of {self.manifest.rows_read}")
        with self.report.path.open("rb") as source:
            self.cursor.execute(query("errors_add"), error_row(1, [fault], next(read_lines(source))))

    def insert_lines(self, lines: IO[bytes], start: int, end: int) -> None:
        """Insert the staged lines from byte ``start`` to ``end`` and count their visits.

        What Postgres refuses is halved until the line is found. Such pieces are file PIECE until
        their visits are counted, so that they are counted alone.
        """
        if start == end:
            return
        self.cursor.execute("savepoint lines")
        try:
            rule = self.rule | {"file_id": PIECE}
            self.cursor.execute(query("file_current"), rule)
            loaded = self.copy_lines(lines, start, end)
            self.count_visits(rule)
            self.cursor.execute(query("piece_counted"), self.rule)
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
        self.cursor.copy_expert(query("statistics_copy"), watched(Span(lines, end)), COPY_BLOCK)
        return self.cursor.rowcount

    def count_visits(self, rule: dict[str, Any]) -> None:
        """Count the visits of the file that the rule names."""
        new, updated = ledger.one(self.cursor, "visitor_upsert", rule)
        self.visitors_new += new
        self.visitors_updated += updated

    def count_visitors_anew(self) -> None:
        """Count an address once that came in two pieces: the first may have made it, the second updated it."""
        (visitors,) = ledger.one(self.cursor, "visitors_of_file", self.rule)
        self.visitors_updated = visitors - self.visitors_new

    def keep_refused(self) -> None:
        """Enter the refused lines in errors, as they were received."""
        self.cursor.execute(query("file_current"), self.rule)
        with self.report.path.open("rb") as source:
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


if __name__ == "__main__":
    own_process("load", main)

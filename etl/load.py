"""Load every staged report into Postgres, one transaction each, and keep the visitors' counters right."""

import logging

from psycopg2.extensions import cursor

from base.fate import Fate
from base.files import natural_order
from base.progress import progress
from base.run import Run
from base.settings import Settings
from base.threads import in_threads
from base.trouble import StageError, Status
from base.waiting import Outage
from base.workdir import Report, WorkDir
from postgres import ledger, migrations
from postgres.database import Database
from postgres.insertion import Insertion, Staged
from postgres.statements import one, query
from runtime.script import run_script

CONNECTIONS = 2  # connections that load at the same time
NAMED = 10  # missing reports in a message

log = logging.getLogger("etl.load")


def main(settings: Settings, run: Run) -> Status:
    """Load the staged reports, and bring the counters to the as-of date, also if there is no report."""
    work = WorkDir(settings)
    status = load_reports(work.reports(), run, settings)
    database = Database(settings)
    database.run(notice_gaps, run, list(work.left()))
    database.close()
    return status


def notice_gaps(cursor: cursor, run: Run, left: list[str]) -> None:
    """Warn once of each report that is missing in the consecutive numbers. Reports that extract has left are not missing."""
    if missing := sorted(ledger.notice_gaps(cursor, run, left), key=natural_order):
        more = f" and {len(missing) - NAMED} more, see load_gap" if len(missing) > NAMED else ""
        log.warning(
            "missing in the consecutive numbers: %s%s. Hint: ask the sender; each is named once.",
            ", ".join(missing[:NAMED]),
            more,
        )


def load_reports(reports: list[Report], run: Run, settings: Settings) -> Status:
    """Load the staged reports and return the gravest status; raise Outage if Postgres stays away.

    CONNECTIONS reports are loaded at a time, or fewer if the server gives fewer connections. Copies (reports with the same
    bytes) are loaded one after the other.
    """
    verdicts = [(report, verdict) for report in reports if (verdict := report.verdict())]
    databases = [Database(settings) for _ in range(CONNECTIONS)]
    databases[0].run(prepare, run, settings)
    copies: dict[str, list[Staged]] = {}
    for known, file_id in zip(verdicts, databases[0].run(ledger.reserve_ids, len(verdicts)), strict=True):
        staged = Staged(*known, file_id)
        copies.setdefault(staged.verdict.sha256, []).append(staged)

    def load_copies(database: Database, same: list[Staged]) -> Status:
        return max(load_safely(database, staged, run, settings) for staged in same)

    with progress("load", sum(report.staged_bytes() for report, _ in verdicts)):
        status = max(
            in_threads(databases[: len(copies) or 1], load_copies, copies.values(), Database.can_connect), default=Status.DONE
        )
    for database in databases:
        database.close()
    return status


def load_safely(database: Database, staged: Staged, run: Run, settings: Settings) -> Status:
    """Load one report and return its status. Trouble with this report stops no other report."""
    name = staged.report.name
    try:
        fate = database.run(load_report, staged, run, settings)
    except Outage:
        raise
    except StageError as error:
        log.error("%s: %s", name, error)
        return error.status
    if fate in (Fate.REFUSED, Fate.QUARANTINED):
        log.warning("%s is %s. Hint: errors, line 1 of that file, says why.", name, fate)
        return Status.REFUSED
    return Status.DONE


def prepare(cursor: cursor, run: Run, settings: Settings) -> None:
    """Verify the schema, wait until no other run loads, enter this run, and bring the counters to its basis."""
    migrations.verify(cursor)
    cursor.execute(query("load/basis_lock"))
    ledger.open_run(cursor, run, settings)
    wanted = {"as_of": settings.as_of, "visit_event": settings.visit_event}
    basis = one(cursor, "load/basis")
    if basis == tuple(wanted.values()):
        return
    if basis is None or basis[1] != settings.visit_event:
        cursor.execute(query("load/visitor_recount"), wanted)
    elif (basis[0].year, basis[0].month) != (settings.as_of.year, settings.as_of.month):
        cursor.execute(query("load/visitor_rollover"), wanted)
    log.info("counters moved from=%s to=%s visitors_changed=%d", basis, tuple(wanted.values()), cursor.rowcount)
    cursor.execute(query("load/basis_set"), wanted)


def load_report(cursor: cursor, staged: Staged, run: Run, settings: Settings) -> Fate | None:
    """Load one report and return its fate, or None if an earlier run had committed it."""
    report, verdict, file_id = staged
    delivery, basis = ledger.look(cursor, verdict, file_id)
    if basis != (settings.as_of, settings.visit_event):
        raise StageError(Status.LOCKED, "another run has changed what the counters mean.", "the next run loads this report.")
    if delivery.known:
        return None
    insertion = Insertion(cursor, staged, settings)
    fate = Fate.DUPLICATE if delivery.loaded else insertion.insert()
    read = 0 if fate is Fate.DUPLICATE else verdict.rows_read
    counts = {
        "file_id": file_id,
        "rows_read": read,
        "rows_loaded": insertion.loaded,
        "rows_rejected": read - insertion.loaded,
        "visitors_new": insertion.visitors_new,
        "visitors_updated": insertion.visitors_updated,
    }
    ledger.add_file(cursor, run, delivery, verdict, {"status": fate} | counts)
    if delivery.name_reused:
        log.warning("%s came before with another content. Hint: ask the sender which one counts; both are kept.", report.name)
    log.info("%s %s %s", fate, report.name, " ".join(f"{name}={count}" for name, count in counts.items()))
    return fate


if __name__ == "__main__":
    run_script("load", main)

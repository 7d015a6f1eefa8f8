"""Load every staged report into Postgres, one transaction each, and keep the visitors' counters right."""

import logging
from itertools import chain

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
from parsing.faults import Code
from postgres import changes, decision, ledger, migrations
from postgres.database import Database
from postgres.erasure import pass_over
from postgres.insertion import Insertion, Staged
from postgres.ledger import Delivery
from postgres.statements import one, query
from runtime.script import run_script

CONNECTIONS = 2  # connections that load at the same time
NAMED = 10  # missing reports in a message

log = logging.getLogger("etl.load")


def main(settings: Settings, run: Run) -> Status:
    """Load the staged reports, and bring the counters to the as-of date, also if there is no report."""
    if settings.engine != "postgres":
        raise StageError(Status.SETTINGS, f"ENGINE is {settings.engine}.", "lake.py loads with it.")
    work = WorkDir(settings)
    status = load_reports(work.reports(), run, settings)
    database = Database(settings)
    database.run(notice_gaps, run, list(work.left()))
    database.close()
    return status


def notice_gaps(cursor: cursor, run: Run, left: list[str]) -> None:
    """Warn once of each report that is missing in the consecutive numbers. Reports that extract has left are not missing."""
    missing, ranges = (sorted(names, key=natural_order) for names in ledger.notice_gaps(cursor, run, left))
    if missing:
        names = ", ".join(missing[:NAMED])
        if len(missing) > NAMED:
            names = f"{names} and {len(missing) - NAMED} more, see load_gap"
        if ranges:
            names = f"{names}; and most from {', '.join(ranges[:NAMED])}"
        log.warning("missing in the consecutive numbers: %s. Hint: ask the sender; each is named once.", names)


def load_reports(reports: list[Report], run: Run, settings: Settings) -> Status:
    """Load the staged reports and return the gravest status; raise Outage if Postgres stays away.

    CONNECTIONS reports are loaded at a time, or fewer if the server gives fewer connections. Copies (reports with the same
    bytes) are loaded one after the other. So are reports that take an earlier one's place, when all others are loaded: they
    change visitors in two turns, and two such loads side by side might wait for each other.
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

    last = replacing(databases[0], copies, settings)
    with progress("load", sum(report.staged_bytes() for report, _ in verdicts)):
        first = [same for sha256, same in copies.items() if sha256 not in last]
        statuses = in_threads(databases[: len(first) or 1], load_copies, first, Database.can_connect)
        statuses += [load_copies(databases[0], copies[sha256]) for sha256 in last]
    for database in databases:
        database.close()
    return max(statuses, default=Status.DONE)


def replacing(database: Database, copies: dict[str, list[Staged]], settings: Settings) -> list[str]:
    """Return the SHA-256 of the reports that may take an earlier one's place: a report of their name is loaded."""
    if settings.on_reused_name == "keep" or not copies:
        return []
    names = {sha256: [staged.report.name for staged in same] for sha256, same in copies.items()}
    loaded = database.run(ledger.names_loaded, [*chain.from_iterable(names.values())])
    return [sha256 for sha256, of_copies in names.items() if not loaded.isdisjoint(of_copies)]


def load_safely(database: Database, staged: Staged, run: Run, settings: Settings) -> Status:
    """Load one report and return its status. Trouble with this report stops no other report."""
    try:
        fate = database.run(load_report, staged, run, settings)
    except Outage:
        raise
    except StageError as error:
        log.error("%s: %s", staged.report.name, error)
        return error.status
    return Status.REFUSED if fate in (Fate.REFUSED, Fate.QUARANTINED) else Status.DONE


def prepare(cursor: cursor, run: Run, settings: Settings) -> None:
    """Verify the schema, wait until no other run loads, enter this run, and bring the counters to its basis."""
    migrations.verify(cursor)
    decision.refuse_lake(cursor)
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
    delivery, basis = ledger.look(cursor, staged.verdict, staged.file_id)
    if basis != (settings.as_of, settings.visit_event):
        raise StageError(Status.LOCKED, "another run has changed what the counters mean.", "the next run loads this report.")
    return None if delivery.known else load_delivery(cursor, staged, delivery, run, settings)


def load_delivery(cursor: cursor, staged: Staged, delivery: Delivery, run: Run, settings: Settings) -> Fate:
    """Load a report that ``ledger.look`` has looked for in the load log, and return its fate."""
    if delivery.erased:
        staged = pass_over(staged, delivery.erased)
    report, verdict, file_id = staged
    insertion = Insertion(cursor, staged, settings)
    fate = Fate.DUPLICATE if delivery.loaded else insertion.insert()
    if 1 in delivery.erased:
        cursor.execute(query("load/errors_blank"), {"file_id": file_id})
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
    log.info("%s %s %s", fate, report.name, " ".join(f"{name}={count}" for name, count in counts.items()))
    if fate is Fate.QUARANTINED:
        lines = f"{insertion.rejected:,} of {read:,} lines are rejected, and MAX_ERROR_RATE is {settings.max_error_rate:g}"
        hint = f"make rejects ID={file_id} lists them; raise the rate, then make reload ID={file_id} loads it."
        log.warning("%s is quarantined: %s. Hint: %s", report.name, lines, hint)
    elif fate is Fate.REFUSED:
        hint = f"ask the sender; make rejects ID={file_id} shows that line."
        log.warning("%s is refused: %s. Hint: %s", report.name, Code.LAYOUT_HEADER.meaning, hint)
    replace_earlier(cursor, staged, delivery.earlier if fate is Fate.LOADED else [], settings)
    return fate


def replace_earlier(cursor: cursor, staged: Staged, earlier: list[int], settings: Settings) -> None:
    """Take back the earlier files of a loaded report's name, if ON_REUSED_NAME says so; warn of each."""
    name = staged.report.name
    for file_id in earlier:
        if settings.on_reused_name == "keep":
            fact = f"{name} came before with another content, and both count"
            hint = f"ask the sender which one counts; make undo ID={file_id} takes the earlier one back."
        else:
            moved = changes.undo(cursor, "replace", file_id, (settings.as_of, settings.visit_event))
            fact = f"{name} came again with another content and takes the place of the earlier one"
            hint = f"{moved}; make reload ID={file_id} would load the earlier one again."
        log.warning("%s. Hint: %s", fact, hint)


if __name__ == "__main__":
    run_script("load", main)

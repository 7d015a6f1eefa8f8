"""A rehearsal of the load, for make check: two lines go the way of every line, in a transaction that is rolled back."""

from contextlib import closing, suppress
from pathlib import Path

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import cursor

from base.fate import Fate
from base.files import temporary_folder
from base.run import Run
from base.settings import DatabaseSettings, Settings
from base.trouble import StageError, Status
from base.workdir import Report
from load import load_report
from parsing.columns import COLUMNS
from postgres import ledger
from postgres.database import Database
from postgres.insertion import Staged
from postgres.statements import one, query, rows
from spark import session
from transform import stage_report

HEADER = ",".join(column.header or "any name" for column in COLUMNS)
REPORT = f"{HEADER}\nnobody@example.com,,,,01/02/2013 10:00,-,0,0,-,0,0,-,-,-,-\nno line\n"  # one line is loaded, one rejected
AT_WORK = "loading is not tried: a load is at work"


class TakenBack(Exception):
    """The end of the rehearsal: everything is rolled back."""


def rehearse(database: Database, settings: Settings) -> str:
    """Load a report and take it back; return what was tried, or raise StageError for what would fail the night."""
    try:
        with suppress(TakenBack), database.transaction() as cursor:
            cursor.execute(query("commands/check_patience"))
            rehearse_night(cursor, settings)
            look_for_second_connection(settings)
            raise TakenBack
    except StageError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            return AT_WORK
        raise
    return "a load was tried and taken back"


def rehearse_night(cursor: cursor, settings: Settings) -> None:
    """Do what a night does in the database with a report of one good line."""
    run = Run.current("check")
    if ledger.lock(cursor, run) is None:
        cursor.execute(query("ledger/run_unlock"))
    ledger.open_run(cursor, run, settings)
    as_of, visit_event = one(cursor, "load/basis") or (settings.as_of, settings.visit_event)
    basis = {"as_of": as_of, "visit_event": visit_event}
    cursor.execute(query("load/basis_set"), basis)
    (file_id,) = ids = ledger.reserve_ids(cursor, 1)
    with temporary_folder() as folder:
        load_made_up(cursor, folder, file_id, run, settings.model_copy(update=basis))
    ledger.notice_gaps(cursor, run, [])
    cursor.execute(query("ledger/file_archive_name"), {"ids": ids, "archive_name": "none"})
    cursor.execute(query("ledger/file_archived"), {"ids": ids})
    cursor.execute(query("ledger/file_source_deleted"), {"ids": ids})
    ledger.close_run(cursor, run, Status.DONE)
    ledger.enter_size(cursor, run)


def load_made_up(cursor: cursor, folder: Path, file_id: int, run: Run, settings: Settings) -> None:
    """Load the made-up report; raise StageError if Postgres refuses its good line."""
    report = Report(folder / "rehearsal.txt")
    report.path.write_text(REPORT)
    (folder / "staged").mkdir()
    stage_report(report)
    verdict = report.verdict()
    assert verdict is not None  # it was written a moment ago
    fate = load_report(cursor, Staged(report, verdict, file_id), run, settings.model_copy(update={"max_error_rate": 1.0}))
    refused = rows(cursor, "commands/check_refused", {"file_id": file_id})
    if fate is not Fate.LOADED or refused:
        said = refused[0][0] if refused else str(fate)
        raise StageError(Status.POSTGRES, f"Postgres refuses a good line: {said}.", "which constraint or trigger is it?")


def rehearse_lake(settings: Settings) -> str:
    """Have a worker of Spark parse the made-up report; return what was tried, or raise StageError. No table is touched."""
    session.verify(settings)
    from spark import night  # noqa: PLC0415 - needs packages that ENGINE=postgres does not
    from spark.landing import Landing  # noqa: PLC0415
    from spark.parse import Part  # noqa: PLC0415

    landing = Landing(settings.landing_url, "visitas_check")
    with temporary_folder() as folder, session.trouble_named():
        report = Report(folder / "rehearsal.txt")
        report.path.write_text(REPORT)
        try:
            (piece,) = landing.take(0, report).pieces
            spark = session.start(settings, "spark_check.log")
            spark.catalog.databaseExists("lake.visitas")  # asks the catalog
            night.ship(spark, folder)
            counted = night.count_lines(night.parse(spark, [Part(0, landing.url(0), piece, frozenset())]))
            found = f"Spark {spark.version}, {spark.conf.get('spark.master')}"
            spark.stop()
        finally:
            landing.clear()
    if counted != {0: night.Counted(loaded=1, rejected=1)}:
        raise session.trouble("a worker did not find the two lines of a made-up report.")
    return f"{found}; a worker has read a report in LANDING_URL"


def look_for_second_connection(settings: DatabaseSettings) -> None:
    """Raise StageError unless there is another connection: one holds the run lock, one loads."""
    with closing(Database(settings)) as other:
        try:
            with other.transaction():
                pass
        except StageError as error:
            raise StageError(
                Status.POSTGRES,
                f"a second connection is not given: {error.args[1].removesuffix('.')}.",
                "a night needs two: raise the limit of the role, of the database or of the pooler.",
            ) from error

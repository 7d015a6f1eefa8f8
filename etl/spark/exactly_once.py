"""A night into the lake, exactly once: write all of it to a branch, audit, decide in Postgres, publish.

Postgres decides: what its load log has of a night counts, whatever was killed when. A start publishes what was decided, and
drops what was not.
"""

import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from base.fate import Fate
from base.progress import progress
from base.run import Run
from base.settings import Settings
from base.workdir import Report, Verdict, boot_id
from parsing.columns import check_header
from parsing.faults import Code, Fault, storable
from postgres import decision, ledger
from postgres.database import Database
from postgres.decision import Decision, Outcome
from postgres.ledger import Basis, Delivery
from postgres.statements import one
from spark import tables
from spark.landing import Landing
from spark.night import AGAIN, Counted, Night, WholeFault, ship
from spark.parse import Part
from spark.pieces import Survey
from spark.session import folder_of, start, trouble, trouble_named

NO_ID = 2**31 - 1  # above every file id

log = logging.getLogger("etl.lake")


class Incoming(NamedTuple):
    """A report of tonight."""

    file_id: int
    url: str  # where the workers read it
    survey: Survey
    verdict: Verdict
    delivery: Delivery

    @property
    def is_new(self) -> bool:
        """Whether its lines are to be read."""
        return self.verdict.fate == Fate.ACCEPTED and not self.delivery.loaded


def bring(reports: list[Report], database: Database, run: Run, settings: Settings) -> set[Fate]:
    """Bring the reports into the lake and return their fates. Spark starts only if it is needed."""
    state = database.run(decision.begin, run, settings)
    landing = Landing(settings.landing_url)
    landing.clear()
    files = take_in(landing, reports, database)
    basis = basis_of(settings)
    recount = state.basis is not None and means_other(state.basis, basis)
    writes = recount or not all(file.delivery.loaded for file in files)
    made = None
    if state.unpublished or writes:
        with trouble_named(), closing(Lake(database, run, settings)) as lake:
            lake.finish(state.unpublished)
            if writes:
                made = lake.load(files, recount)
    if made is None and (files or state.basis != basis):
        made = Decision(None, judge(files, {}, settings), [], [])
        database.run(decision.decide, run, made, basis)
        tell(made, settings)
    landing.clear()
    return {outcome.fate for outcome in made.outcomes} if made else set()


def basis_of(settings: Settings) -> Basis:
    """Return what the counters mean after tonight."""
    return settings.as_of, settings.visit_event


def means_other(old: Basis, new: Basis) -> bool:
    """Return whether the counters of the older nights change: another month, or another visit event."""
    return (old[0].year, old[0].month, old[1]) != (new[0].year, new[0].month, new[1])


def take_in(landing: Landing, reports: list[Report], database: Database) -> list[Incoming]:
    """Copy the reports to the landing folder; return those that no earlier run has entered in the load log."""
    numbers = range(len(reports))
    total = sum(report.path.stat().st_size for report in reports)
    with progress("lake", total), ThreadPoolExecutor(os.cpu_count()) as pool:  # forks would inherit Arrow's connections, and hang
        surveys = list(pool.map(landing.take, numbers, reports))
    verdicts = [verdict_of(report, survey) for report, survey in zip(reports, surveys, strict=True)]
    deliveries = database.run(decision.look, verdicts)
    ids = database.run(ledger.reserve_ids, len(reports))
    files = map(Incoming, ids, map(landing.url, numbers), surveys, verdicts, deliveries)
    return [file for file in files if not file.delivery.known]


def verdict_of(report: Report, survey: Survey) -> Verdict:
    """Return what is known of a report before its lines are parsed."""
    info = report.path.stat()
    return Verdict(
        name=report.name,
        sha256=survey.sha256,
        bytes=survey.size,
        mtime=int(info.st_mtime),
        pulled_at=info.st_ctime,
        fate=Fate.REFUSED if check_header(survey.header) else Fate.ACCEPTED,
        rows_read=0,
        rows_accepted=0,
        error_rows=0,
        said=report.said(),
        boot_id=boot_id(),
    )


class Lake:
    """The lake in one run."""

    def __init__(self, database: Database, run: Run, settings: Settings) -> None:
        self._database = database
        self._run = run
        self._settings = settings
        self.session = start(settings)

    def close(self) -> None:
        """Stop Spark."""
        self.session.stop()

    def finish(self, unpublished: list[str]) -> None:
        """Publish what earlier runs have decided, and drop what they have not."""
        tables.make_tables(self.session)
        self.publish(unpublished)

    def publish(self, branches: list[str]) -> None:
        """Show readers what was decided, and drop every branch."""
        for branch in branches:
            tables.publish(self.session, branch)
            self._settle()
            self._database.run(decision.set_published, branch)
        tables.drop_branches(self.session)

    def _settle(self) -> None:
        """Have the files of a lake on this machine on the disk before the load log relies on them: Spark leaves that open."""
        if folder_of(self._settings.lake_url):
            os.sync()

    def _compare_with_log(self) -> None:
        """Raise StageError unless the lake has as many lines as the load log counts: then they belong together."""
        there = self.session.table("lake.visitas.statistics").count()
        (counted,) = self._database.run(one, "load/lake_lines")
        if there != counted:
            fact = f"the lake has {there:,} lines in statistics, and the load log counts {counted:,}, so nothing was loaded."
            raise trouble(fact, "is LAKE_URL the lake of this database? Was one of the two brought back from a backup?")

    def load(self, files: list[Incoming], recount: bool) -> Decision:
        """Write the files to a branch of this run's own, audit it, decide, publish it."""
        self._compare_with_log()
        branch = tables.Branch(self.session, tables.NIGHT + self._run.id)
        new = [file for file in files if file.is_new]
        parts = [
            Part(file.file_id, file.url, piece, frozenset(file.delivery.erased)) for file in new for piece in file.survey.pieces
        ]
        with tempfile.TemporaryDirectory() as folder:
            ship(self.session, Path(folder))
            night = Night(self.session, branch, parts, min((file.file_id for file in files), default=NO_ID))
            made = write(night, files, recount, self._settings)
        self._settle()
        self._database.run(decision.decide, self._run, made, basis_of(self._settings))
        tell(made, self._settings)
        self.publish([branch.name])
        return made


def write(night: Night, files: list[Incoming], recount: bool, settings: Settings) -> Decision:
    """Write the files to the night's branch, audit what was written, and return what is to be decided."""
    counted = night.count()
    for file in files:
        parsed = 1 + sum(counted.get(file.file_id, Counted()))
        if file.is_new and file.survey.lines != parsed:
            raise trouble(f"{file.verdict.name} has {file.survey.lines:,} lines, and {parsed:,} were parsed.", AGAIN)
    outcomes = judge(files, counted, settings)
    loaded = [outcome.file_id for outcome in outcomes if outcome.fate is Fate.LOADED]
    kept = [outcome.file_id for outcome in outcomes if outcome.fate in (Fate.LOADED, Fate.QUARANTINED)]
    night.choose(loaded, kept, whole_faults(files, outcomes))
    night.write_lines()
    visitors = night.count_visits(basis_of(settings), recount) if loaded or recount else {}
    night.audit()
    for place, outcome in enumerate(outcomes):
        new, found = visitors.get(outcome.file_id, (0, 0))
        outcomes[place] = outcome._replace(visitors_new=new, visitors_updated=found)
    return Decision(night.branch.name, outcomes, night.campaigns(), night.rejects())


def judge(files: list[Incoming], counted: dict[int, Counted], settings: Settings) -> list[Outcome]:
    """Return what becomes of each file. Of copies that come in one night, the first is loaded."""
    loaded: set[str] = set()
    outcomes = []
    for file in files:
        lines = counted.get(file.file_id, Counted())
        read = lines.loaded + lines.rejected
        fate = Fate.LOADED
        if file.delivery.loaded or file.verdict.sha256 in loaded:
            fate, read = Fate.DUPLICATE, 0
        elif file.verdict.fate == Fate.REFUSED:
            fate = Fate.REFUSED
        elif read and lines.rejected / read > settings.max_error_rate:
            fate = Fate.QUARANTINED
        else:
            loaded.add(file.verdict.sha256)
        rows_loaded = lines.loaded if fate is Fate.LOADED else 0
        outcomes.append(Outcome(file.file_id, file.verdict, file.delivery, fate, read, rows_loaded, lines.rejected))
    return outcomes


def whole_faults(files: list[Incoming], outcomes: list[Outcome]) -> list[WholeFault]:
    """Return the faults of whole files: they stand at line 1. What names a forgotten person is left out."""
    faults = []
    for file, outcome in zip(files, outcomes, strict=True):
        fault = check_header(file.survey.header) if outcome.fate is Fate.REFUSED else None
        if outcome.fate is Fate.QUARANTINED:
            fault = Fault(Code.ERROR_RATE, value=f"{outcome.rows_faulty} of {outcome.rows_read}")
        if fault:
            raw_line = None if 1 in file.delivery.erased else storable(file.survey.header)
            faults.append(WholeFault(file.file_id, 1, [str(fault.code)], str(fault), raw_line))
    return faults


def tell(made: Decision, settings: Settings) -> None:
    """Log what became of each file."""
    for outcome in made.outcomes:
        tell_of_file(outcome, settings)


def tell_of_file(outcome: Outcome, settings: Settings) -> None:
    """Log what became of a file; warn of what a person must look at."""
    name, fate = outcome.verdict.name, outcome.fate
    counts = {"file_id": outcome.file_id, "rows_read": outcome.rows_read, "rows_loaded": outcome.rows_loaded}
    counts |= {"visitors_new": outcome.visitors_new, "visitors_updated": outcome.visitors_updated}
    log.info("%s %s %s", fate, name, " ".join(f"{key}={count}" for key, count in counts.items()))
    if fate is Fate.QUARANTINED:
        faulty, read = outcome.rows_faulty, outcome.rows_read
        fact = f"{faulty:,} of {read:,} lines are rejected, and MAX_ERROR_RATE is {settings.max_error_rate:g}"
        hint = f"they are in errors, file_id {outcome.file_id}; raise the rate, then have it sent again."
        log.warning("%s is quarantined: %s. Hint: %s", name, fact, hint)
    elif fate is Fate.REFUSED:
        hint = f"ask the sender; that line is in errors, file_id {outcome.file_id}."
        log.warning("%s is refused: %s. Hint: %s", name, Code.LAYOUT_HEADER.meaning, hint)
    elif fate is Fate.LOADED and outcome.delivery.earlier:
        log.warning("%s came before with another content, and both count. Hint: ask the sender which one counts.", name)

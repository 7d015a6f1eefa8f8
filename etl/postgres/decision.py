"""The decision over a night in the lake: one transaction of the load log says that what was written to a branch counts."""

from typing import Any, NamedTuple

from psycopg2.extensions import cursor

from base.fate import Fate
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import Verdict
from postgres import ledger, migrations
from postgres.ledger import Basis, Delivery
from postgres.statements import one, prepare_once, query, rows

CAMPAIGN = ("send_date", "file_id", "sent", "hard_bounces", "opened", "clicked", "opened_and_clicked", "unsubscribed")
REJECT = ("file_id", "code", "lines", "line_number", "message", "codes")


class State(NamedTuple):
    """What earlier nights have left."""

    basis: Basis | None  # None: no night yet
    unpublished: list[str]  # branches that were decided


class Outcome(NamedTuple):
    """What becomes of one report."""

    file_id: int
    verdict: Verdict
    delivery: Delivery
    fate: Fate
    rows_read: int = 0
    rows_loaded: int = 0
    rows_faulty: int = 0  # lines that are bad themselves; of a quarantined file, load_file counts all as rejected
    visitors_new: int = 0
    visitors_updated: int = 0


class Decision(NamedTuple):
    """What one transaction enters."""

    branch: str | None  # None: nothing was written to the lake
    outcomes: list[Outcome]
    campaigns: list[tuple[Any, ...]]  # rows for load_campaign
    rejects: list[tuple[Any, ...]]  # rows for load_reject, each with the first line of the code


def begin(cursor: cursor, run: Run, settings: Settings) -> State:
    """Verify the schema, enter the run, and return what earlier nights have left."""
    migrations.verify(cursor)
    has_lake, has_history = one(cursor, "load/lake_in_use")
    if has_history and not has_lake:
        raise StageError(Status.SETTINGS, "the history is in Postgres, not in the lake.", "make lake-import brings it there.")
    ledger.open_run(cursor, run, settings)
    return state(cursor)


def state(cursor: cursor) -> State:
    """Return what earlier nights have left."""
    return State(one(cursor, "load/basis"), [branch for (branch,) in rows(cursor, "load/lake_unpublished")])


def refuse_lake(cursor: cursor) -> None:
    """Raise StageError if the history is in the lake: Postgres alone cannot go on with it."""
    has_lake, _ = one(cursor, "load/lake_in_use")
    if has_lake:
        raise StageError(Status.SETTINGS, "the history is in the lake, and ENGINE is postgres.", "set ENGINE=spark.")


def verify_published(cursor: cursor) -> None:
    """Raise StageError if a night counts that readers do not see yet."""
    if rows(cursor, "load/lake_unpublished"):
        fact = "a night is decided, and readers do not see all of it yet."
        raise StageError(Status.CLUSTER, fact, "bash etl/etl.sh or make lake-maintain publishes it.")


def look(cursor: cursor, verdicts: list[Verdict]) -> list[Delivery]:
    """Return what the load log knows of each report."""
    found = []
    for verdict in verdicts:
        cursor.execute(prepare_once(cursor, "ledger/file_look"), vars(verdict))
        ((*delivery, _, _),) = cursor.fetchall()
        found.append(Delivery(*delivery))
    return found


def decide(cursor: cursor, run: Run, decision: Decision, basis: Basis) -> None:
    """Enter the night: its files, their sums, what the counters mean, and the branch that counts. Safe to repeat."""
    cursor.execute(query("load/basis_lock"))
    if decision.branch and not decide_branch(cursor, run, decision.branch):
        return  # it was decided, and then the connection was lost
    deliveries = look(cursor, [outcome.verdict for outcome in decision.outcomes])
    for outcome, now in zip(decision.outcomes, deliveries, strict=True):
        if decision.branch and (now.known or now.loaded != outcome.delivery.loaded):
            fact = f"another run has loaded {outcome.verdict.name} meanwhile, so nothing was loaded."
            raise StageError(Status.LOCKED, fact, "did this run lose its connection to Postgres? Its log says so.")
        if now.known:  # a decision without a branch, repeated
            continue
        values = vars(outcome.verdict) | outcome.delivery._asdict() | outcome._asdict()
        values |= {"run_id": run.id, "status": outcome.fate, "rows_rejected": outcome.rows_read - outcome.rows_loaded}
        cursor.execute(prepare_once(cursor, "ledger/file_add"), values)
    cursor.execute(query("load/lake_campaigns"), by_column(CAMPAIGN, decision.campaigns))
    cursor.execute(query("load/lake_rejects"), by_column(REJECT, decision.rejects))
    cursor.execute(query("load/basis_set"), dict(zip(("as_of", "visit_event"), basis, strict=True)))


def decide_branch(cursor: cursor, run: Run, branch: str) -> bool:
    """Enter that the branch counts; return whether that is new."""
    cursor.execute(query("load/lake_decide"), {"branch": branch, "run_id": run.id})
    return cursor.rowcount > 0


def by_column(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return rows as a list for each column."""
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def set_published(cursor: cursor, branch: str) -> None:
    """Enter that readers see the branch."""
    cursor.execute(query("load/lake_published"), {"branch": branch})

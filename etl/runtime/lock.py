"""The run lock: one run at a time, on this host and on every other that loads the same database."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from postgres import ledger
from postgres.database import Database

log = logging.getLogger("etl.lock")


@dataclass
class Hold:
    """A run that holds both locks."""

    exit_status: int = Status.BUG  # what the load log will say; set it before leaving


@contextmanager
def hold_locks(settings: Settings, run: Run) -> Iterator[Hold]:
    """Keep every other run out, on this host by a file lock and on others by an advisory lock in Postgres.

    Without Postgres the run goes on: each of load's transactions is safe on its own, and load is
    the one to wait for Postgres and to say that it is missing.
    """
    database = Database(settings)
    with locked(WorkDir(settings).root / ".lock", run):
        enter(database, run, settings)
        hold = Hold()
        try:
            yield hold
        finally:
            leave(run, settings, hold.exit_status)
            database.close()


@contextmanager
def locked(path: Path, run: Run) -> Iterator[None]:
    """Hold the lock file; raise StageError if another process does.

    The system frees it when its last holder dies. Children may inherit it, so that an orphaned
    stage still keeps others out.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise busy(file.read().strip()) from None
        file.truncate(0)
        file.write(f"run {run.id}")
        file.flush()
        os.set_inheritable(file.fileno(), True)
        yield


def enter(database: Database, run: Run, settings: Settings) -> None:
    """Take the advisory lock for as long as the connection lives and enter the run in the load log."""
    try:
        with database.transaction() as cursor:
            holder = ledger.lock(cursor)
            if holder is None:
                for crashed in ledger.mark_crashed(cursor):
                    log.warning("run %s ended without a word; what it left undone is done now", crashed)
                ledger.open_run(cursor, run, settings)
    except StageError as error:
        log.info("going on without the load log's lock: %s", error)
        return
    if holder is not None:
        raise busy(holder)


def leave(run: Run, settings: Settings, exit_status: int) -> None:
    """Enter in the load log how the run ended, if Postgres is there; it may be the first that it hears of the run.

    The connection is a new one: the old one may have died with a restart of the server.
    """
    database = Database(settings)
    try:
        with database.transaction() as cursor:
            ledger.open_run(cursor, run, settings)
            ledger.close_run(cursor, run, exit_status)
    except StageError as error:
        log.info("the load log does not know how the run ended: %s", error)
    database.close()


def busy(holder: str) -> StageError:
    """Return the trouble of a lock that somebody else holds."""
    return StageError(
        Status.LOCKED, f"another run is at work: {holder}.", "wait for it; its locks go when it ends, even by a kill."
    )

"""The run locks: one run at a time on this host, and one at a time for each database."""

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
    """The locks that a run holds, and how the run ends."""

    exit_status: int = Status.BUG  # entered in the load log at the end; set this inside the block


@contextmanager
def hold_locks(settings: Settings, run: Run) -> Iterator[Hold]:
    """Keep out other runs during the block, or raise StageError if another run holds a lock.

    A file lock keeps out runs on this host. An advisory lock in Postgres keeps out runs on other hosts. If Postgres cannot
    be reached, the run goes on: every transaction of load is safe on its own, and load waits for Postgres and reports it.
    """
    database = Database(settings)
    with hold_file(WorkDir(settings).root / ".lock", run):
        enter_start(database, run, settings)
        hold = Hold()
        try:
            yield hold
        finally:
            enter_end(run, settings, hold.exit_status)
            database.close()


@contextmanager
def hold_file(path: Path, run: Run) -> Iterator[None]:
    """Hold the lock file during the block; raise StageError if another process holds it.

    Child processes inherit the lock, so an orphaned stage still keeps out other runs. The system frees the lock when
    its last holder ends.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise lock_trouble(file.read().strip()) from None
        file.truncate(0)
        file.write(f"run {run.id}")
        file.flush()
        os.set_inheritable(file.fileno(), True)
        yield


def enter_start(database: Database, run: Run, settings: Settings) -> None:
    """Take the advisory lock, which the connection holds until it closes, and enter the run in the load log."""
    try:
        with database.transaction() as cursor:
            holder = ledger.lock(cursor)
            if holder is None:
                for crashed in ledger.mark_crashed(cursor):
                    log.warning("run %s ended without a word; this run finishes its work", crashed)
                ledger.open_run(cursor, run, settings)
    except StageError as error:
        log.info("going on without the lock in Postgres: %s", error)
        return
    if holder is not None:
        raise lock_trouble(holder)


def enter_end(run: Run, settings: Settings, exit_status: int) -> None:
    """Enter in the load log how the run ended, if Postgres can be reached.

    The run is entered too, because Postgres may have been away at the start. The connection is new, because a restart of
    Postgres may have ended the old connection.
    """
    database = Database(settings)
    try:
        with database.transaction() as cursor:
            ledger.open_run(cursor, run, settings)
            ledger.close_run(cursor, run, exit_status)
        with database.transaction() as cursor:  # of its own: a schema that is too old has no column for it
            ledger.enter_size(cursor, run)
    except StageError as error:
        log.info("the load log does not know all about the end of the run: %s", error)
    database.close()


def lock_trouble(holder: str) -> StageError:
    """Return the trouble of a lock that another run holds."""
    return StageError(
        Status.LOCKED, f"another run is at work: {holder}.", "wait until that run ends; its locks end with it, even after a kill."
    )

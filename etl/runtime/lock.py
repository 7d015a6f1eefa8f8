"""The run locks: one run at a time on this host, and one at a time for each database."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIG_IGN, SIGUSR1, pthread_kill, signal
from threading import Event, Thread, main_thread

from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.waiting import Outage
from base.workdir import WorkDir
from postgres import ledger
from postgres.database import Database
from postgres.session import SharedSession

LOOK_EVERY = 1  # seconds between two looks whether the lock in Postgres is still held
PATIENCE = 1  # seconds at the end of a run for a look that is under way
LOST = SIGUSR1  # ends the main thread's waiting

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
    If another run takes the lock in Postgres meanwhile, StageError is raised inside the block.
    """
    keeper = Keeper(settings, run)
    with hold_file(WorkDir(settings).root / ".lock", run):
        keeper.take()
        hold = Hold()
        try:
            with interruptible(keeper):
                yield hold
        finally:
            enter_end(run, settings, hold.exit_status)
            keeper.release()


class Keeper(Thread):
    """What holds the run lock in Postgres. Its connection holds the lock; where that is lost, the lock is taken anew."""

    def __init__(self, settings: Settings, run: Run) -> None:
        super().__init__(daemon=True)
        self._settings, self._run = settings, run
        self._database = Database(settings)
        self._over = Event()
        self.holder: str | None = None  # the other run that has the lock

    def take(self) -> None:
        """Take the lock and enter the run in the load log; raise StageError if another run has the lock.

        Without Postgres there is no lock. A pooler that would lose the lock at once is refused.
        """
        try:
            self.holder = self._hold()
        except SharedSession:
            raise
        except StageError as error:
            log.info("going on without the lock in Postgres: %s", error)
        if self.holder is not None:
            raise lock_trouble(self.holder)

    def run(self) -> None:
        """Look every second whether the lock is still held; interrupt the main thread once another run has it."""
        while not self._over.wait(LOOK_EVERY) and self.holder is None:
            try:
                self.holder = self._hold()
            except Outage:
                continue
            except StageError:
                return  # waiting does not heal it; load says so
        if self.holder is not None and not self._over.is_set():
            log.info("the lock in Postgres was lost to %s", self.holder)
            pthread_kill(main_thread().ident or 0, LOST)

    def _hold(self) -> str | None:
        """Take the lock unless this connection has it, and return who else has it. Enter the run; mark those that crashed."""
        with self._database.transaction() as cursor:
            holder = ledger.lock(cursor, self._run)
            if holder is None:
                for crashed in ledger.mark_crashed(cursor, self._run):
                    log.warning("run %s ended without a word; this run finishes its work", crashed)
                ledger.open_run(cursor, self._run, self._settings)
        return holder

    def release(self) -> None:
        """Give the lock back."""
        self._over.set()
        if self.is_alive():
            self.join(PATIENCE)
        if not self.is_alive():
            self._database.close()


@contextmanager
def interruptible(keeper: Keeper) -> Iterator[None]:
    """Have the keeper watch the lock during the block; raise StageError inside the block once another run has it."""

    def stop(_signal: int, _frame: object) -> None:
        raise lock_trouble(str(keeper.holder))

    signal(LOST, stop)
    keeper.start()
    try:
        yield
    finally:
        signal(LOST, SIG_IGN)


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
    """Return the trouble of a lock that another run, or some other session, holds."""
    if not holder.startswith(("run", "a run")):
        return StageError(
            Status.LOCKED, f"the run lock is held by {holder}.", "is it no run of this program? Then have that session ended."
        )
    return StageError(
        Status.LOCKED, f"another run is at work: {holder}.", "wait until that run ends; its locks end with it, even after a kill."
    )

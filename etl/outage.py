"""Outages: trouble that time may heal, and how long it is waited out."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from trouble import StageError

LONGEST_PAUSE = 30  # seconds between two tries
TICK = 0.5  # seconds between two looks of the watchdog

Cut = Callable[[], object]  # breaks a connection

log = logging.getLogger("etl.outage")


class Outage(StageError):
    """A server that is not there now and may be in a moment. Everything else is never retried."""


def retrying(seconds: float) -> Retrying:
    """Return attempts to iterate over: an Outage is tried again with back-off and jitter for ``seconds``."""
    return Retrying(
        retry=retry_if_exception_type(Outage),
        stop=Patience(seconds),
        wait=wait_exponential_jitter(multiplier=0.5, max=LONGEST_PAUSE),
        before_sleep=announce,
        reraise=True,
    )


class Patience:
    """Stop when an outage has lasted for ``seconds``, counted from the first failure and not from the start of the work."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        """Return whether to give up now rather than to try again after the pause."""
        now = state.outcome_timestamp
        assert now is not None
        self.since = self.since or now
        return now + state.upcoming_sleep - self.since > self.seconds


def announce(state: RetryCallState) -> None:
    """Log what is waited for; INFO, since an outage that heals wakes nobody."""
    assert state.outcome and state.next_action
    log.info(
        "waiting seconds=%.1f attempt=%d for=%r", state.next_action.sleep, state.attempt_number, str(state.outcome.exception())
    )


class Guard(Thread):
    """Looks after all blocks with a time limit: a thread for each costs more than the load of a small file."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._lock = Lock()
        self._blocks: dict[object, tuple[float, Cut]] = {}  # when it must have ended, and what ends it

    def add(self, block: object, deadline: float, cut: Cut) -> None:
        """Look after a block from now on."""
        with self._lock:
            self._blocks[block] = deadline, cut
            if not self.is_alive():
                self.start()

    def remove(self, block: object) -> None:
        """Let a block be: it has ended."""
        with self._lock:
            self._blocks.pop(block, None)

    def run(self) -> None:
        """Cut what is late, each once and in a thread of its own: it may take its time, or fail."""
        while True:
            time.sleep(TICK)
            with self._lock:
                for block, (deadline, cut) in list(self._blocks.items()):
                    if time.monotonic() > deadline:
                        del self._blocks[block]
                        Thread(target=cut, daemon=True).start()


guard = Guard()
os.register_at_fork(after_in_child=guard.__init__)  # type: ignore[misc]  # a thread does not go with a fork


@contextmanager
def watchdog(seconds: float, cut: Cut) -> Iterator[None]:
    """Cut the connection that the block waits on if it takes longer than ``seconds``: the wait then ends in an error."""
    guard.add(block := object(), time.monotonic() + seconds, cut)
    try:
        yield
    finally:
        guard.remove(block)

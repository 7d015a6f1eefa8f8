"""Outages: trouble that time may heal, and how long it is waited out."""

import logging

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from base.trouble import StageError

LONGEST_PAUSE = 30  # seconds between two tries


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

"""Outages: trouble that may end by waiting, and how long to wait."""

import logging

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from base.trouble import StageError

LONGEST_PAUSE = 30  # seconds between two attempts

log = logging.getLogger("etl.outage")


class Outage(StageError):
    """A server that does not answer now, but may answer soon. No other trouble is tried again."""


def retrying(seconds: float) -> Retrying:
    """Return the attempts to iterate over. An Outage leads to another attempt; after ``seconds`` the Outage is raised.

    The pauses between attempts grow and are random.
    """
    return Retrying(
        retry=retry_if_exception_type(Outage),
        stop=Patience(seconds),
        wait=wait_exponential_jitter(multiplier=0.5, max=LONGEST_PAUSE),
        before_sleep=announce,
        reraise=True,
    )


class Patience:
    """How long an outage may last: ``seconds``, counted from its first failure and not from the start of the work."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        """Return whether to give up now, because the next pause would end too late."""
        now = state.outcome_timestamp
        assert now is not None
        self.since = self.since or now
        return now + state.upcoming_sleep - self.since > self.seconds


def announce(state: RetryCallState) -> None:
    """Log the outage and the pause, at INFO: an outage that ends must wake nobody."""
    assert state.outcome and state.next_action
    log.info(
        "waiting seconds=%.1f attempt=%d for=%r", state.next_action.sleep, state.attempt_number, str(state.outcome.exception())
    )

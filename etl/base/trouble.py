"""Expected trouble, and the exit status for each kind (contract section 6)."""

from enum import IntEnum


class Status(IntEnum):
    """How a script ends. Cron, monitors and people rely on the numbers: add, never renumber."""

    DONE = 0  # even if lines were rejected
    BUG = 1  # a traceback is in the log
    SETTINGS = 2
    REFUSED = 3  # done, but at least one file was refused or quarantined
    SFTP = 10
    LOCKED = 11  # another run holds the lock
    POSTGRES = 12
    DISK = 13  # disk or backup
    CLUSTER = 14  # Spark, where ENGINE=spark
    LATE = 15  # the night passed NIGHT_LIMIT_HOURS


class StageError(Exception):
    """Trouble that an operator can fix: one sentence of fact, one of advice, and the exit status."""

    def __init__(self, status: Status, fact: str, hint: str) -> None:
        super().__init__(status, fact, hint)  # all three: another process can then pickle the error and pass it on
        self.status = status

    def __str__(self) -> str:
        """Return the fact and the hint."""
        _, fact, hint = self.args
        return f"{fact} Hint: {hint}"

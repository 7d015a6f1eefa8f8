"""Expected trouble and the exit statuses it ends in (contract section 6)."""

from enum import IntEnum


class Status(IntEnum):
    """How a script ends. Cron, monitors and people rely on the numbers: add, never renumber."""

    DONE = 0  # rejected lines included
    BUG = 1  # a traceback is in the log
    SETTINGS = 2
    REFUSED = 3  # done, but a whole file was refused or quarantined
    SFTP = 10
    LOCKED = 11  # another run holds the lock
    POSTGRES = 12
    DISK = 13  # disk or backup


class StageError(Exception):
    """Trouble an operator can mend: one sentence of fact, one of advice, and the exit status."""

    def __init__(self, status: Status, fact: str, hint: str) -> None:
        super().__init__(status, fact, hint)  # as it was given: so it can be passed on by a worker process
        self.status = status

    def __str__(self) -> str:
        """Return both sentences."""
        _, fact, hint = self.args
        return f"{fact} Hint: {hint}"

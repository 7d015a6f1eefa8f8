"""What people have been told: the same trouble is one alert that counts the nights, and its end is told once.

The state is kept in LOG_DIR/alerts.json. Postgres may itself be the trouble, and a restart of the
machine may clear WORK_DIR.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from base import trust
from base.files import whole_file
from base.trouble import StageError

NAME = "alerts.json"


@dataclass
class Alerts:
    """What one run leaves for the next."""

    failing: int | None = None  # exit status of the failed runs; None: the last run was good
    nights: int = 0  # nights in a row with that exit status
    last_night: str = ""  # ISO date of the last failed night; two runs on one day are one night
    unreached: dict[str, str] = field(default_factory=dict)  # channel: why it did not take the last message
    last_success: float | None = None  # seconds since 1970
    last_alert: str = ""  # subject of the last message about trouble
    last_alert_at: float | None = None  # seconds since 1970

    @classmethod
    def read(cls, folder: Path) -> "Alerts":
        """Return the state; a new state if the file is missing, cannot be read, or could be another user's."""
        try:
            trust.verify("LOG_DIR", folder)
            with open(folder / NAME, opener=trust.open_mine) as file:
                return cls(**json.load(file))
        except (StageError, OSError, ValueError, TypeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write the state to the folder in one step."""
        trust.make_folder("LOG_DIR", folder)
        with whole_file(folder / NAME) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())

    def fail(self, status: int, night: date) -> int:
        """Record a failed run; return how many nights in a row have ended with this status, this night included."""
        if status != self.failing:
            self.failing, self.nights, self.last_night = status, 0, ""
        if self.last_night != str(night):
            self.nights += 1
            self.last_night = str(night)
        return self.nights

    def succeed(self, now: float) -> None:
        """Record a good run that ended at ``now``, in seconds since 1970."""
        self.failing, self.nights, self.last_night, self.last_success = None, 0, "", now

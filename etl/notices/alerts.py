"""What people have been told: so that the same trouble is one growing alert, and its end is told once.

Kept in LOG_DIR/alerts.json: outside of Postgres, which may be the trouble, and of WORK_DIR, which a
restart of the machine may clear.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from base.files import whole_file

NAME = "alerts.json"


@dataclass
class Alerts:
    """The state between two runs."""

    failing: int | None = None  # exit status of the failure that goes on; None: the last run was good
    nights: int = 0  # with that failure
    last_night: str = ""  # ISO date; two runs on one day are one night
    unreached: dict[str, str] = field(default_factory=dict)  # channel: why the last message did not get through
    last_success: float | None = None  # seconds since 1970
    last_alert: str = ""  # subject of the last message that told of trouble
    last_alert_at: float | None = None

    @classmethod
    def read(cls, folder: Path) -> "Alerts":
        """Return the state; a new one if there is none, or none that can be read."""
        try:
            return cls(**json.loads((folder / NAME).read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep the state."""
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / NAME) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())

    def fail(self, status: int, night: date) -> int:
        """Note a failure and return how many nights the same has happened in a row."""
        if status != self.failing:
            self.failing, self.nights, self.last_night = status, 0, ""
        if self.last_night != str(night):
            self.nights += 1
            self.last_night = str(night)
        return self.nights

    def succeed(self, now: float) -> int:
        """Note a good run and return how many bad nights it ends, 0 if the one before was good."""
        ended = self.nights
        self.failing, self.nights, self.last_night, self.last_success = None, 0, "", now
        return ended

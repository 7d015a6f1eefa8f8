"""What a month was like, as the load log has it."""

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import NamedTuple

from psycopg2.extensions import cursor

from base.files import size_of
from base.settings import Settings
from postgres.database import one, rows


class Month(NamedTuple):
    """A month of the calendar."""

    year: int
    number: int

    @classmethod
    def of(cls, day: date) -> "Month":
        """Return the month of a day."""
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Return the month ``yyyy-mm``, or raise ValueError."""
        return cls.of(datetime.strptime(text, "%Y-%m"))  # noqa: DTZ007 - a month has no zone

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def end(self) -> date:
        """The day after its last."""
        return self.first + timedelta(days=calendar.monthrange(self.year, self.number)[1])

    @property
    def before(self) -> "Month":
        """The month before."""
        return self.of(self.first - timedelta(days=1))

    def __str__(self) -> str:
        """Return it as ISO has it."""
        return f"{self.year:04}-{self.number:02}"


class Day(NamedTuple):
    """One day: its nights, and what their reports brought."""

    day: date
    nights: int  # runs of etl.sh that began on it
    done: int  # of these
    failed: int  # of these; the rest is at work
    seconds: float | None  # that they took together; None: no night, or none that ended
    files: int
    loaded: int
    duplicate: int
    refused: int
    quarantined: int
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int


class Notable(NamedTuple):
    """A report that was not loaded, or that came under a known name."""

    day: date
    name: str
    status: str
    rows_read: int
    why: str | None


class Failed(NamedTuple):
    """A night that did not end well."""

    started: datetime  # local
    status: str  # failed or crashed
    exit_status: int | None  # None: it crashed
    seconds: float | None  # None: it crashed


class Gap(NamedTuple):
    """A report that was missing in the consecutive numbers."""

    name: str
    came_later: bool


class Backup(NamedTuple):
    """A zip that the load log names."""

    name: str
    bytes: int | None  # None: it is not in BACKUP_DIR


class Campaign(NamedTuple):
    """What became of the mails sent in the month."""

    sent: int
    hard_bounces: int
    opened: int
    clicked: int
    unsubscribed: int

    @property
    def delivered(self) -> int:
        """Mails sent less those that bounced for good."""
        return self.sent - self.hard_bounces


@dataclass(frozen=True)
class Monthly:
    """All that the report of a month needs."""

    month: Month
    days: list[Day]  # those of the month that have begun
    rejects: dict[str, int]  # code: lines, the most frequent first
    notable: list[Notable]
    failed: list[Failed]
    gaps: list[Gap]
    backups: list[Backup]
    durations: list[float]  # seconds of each night
    campaign: Campaign
    first_run: date | None  # None: no run yet

    def total(self, count: str) -> int:
        """Return the sum of one of Day's counts."""
        return sum(getattr(day, count) for day in self.days)

    @property
    def without_files(self) -> list[date]:
        """Days with a night that went well and found no report."""
        return [day.day for day in self.days if day.done and not day.files]

    @property
    def without_night(self) -> list[date]:
        """Days since the first run of all on which no night is in the load log."""
        return [day.day for day in self.days if not day.nights and self.first_run and day.day >= self.first_run]

    @property
    def usual_duration(self) -> float | None:
        """Median of the durations in seconds; None if there are none."""
        return median(self.durations) if self.durations else None

    @property
    def missing_backups(self) -> list[str]:
        """Zips that the load log names and BACKUP_DIR lacks."""
        return [backup.name for backup in self.backups if backup.bytes is None]


def gather(cursor: cursor, month: Month, settings: Settings) -> Monthly:
    """Return what the load log and BACKUP_DIR know of a month, as TIMEZONE divides the days."""
    today = settings.now().date()
    whole = {"first": month.first, "end": month.end, "timezone": settings.timezone}
    so_far = whole | {"end": max(month.first, min(month.end, today + timedelta(days=1)))}
    return Monthly(
        month,
        [Day(*row) for row in rows(cursor, "commands/monthly_days", so_far)],
        dict(rows(cursor, "commands/monthly_rejects", whole)),
        [Notable(*row) for row in rows(cursor, "commands/monthly_files", whole)],
        [Failed(*row) for row in rows(cursor, "commands/monthly_failed", whole)],
        [Gap(*row) for row in rows(cursor, "commands/monthly_gaps", whole)],
        [Backup(name, size_of(settings.backup_dir / name)) for (name,) in rows(cursor, "commands/monthly_zips", whole)],
        [seconds for (seconds,) in rows(cursor, "commands/monthly_durations", whole)],
        Campaign(*one(cursor, "commands/monthly_campaign", whole)),
        one(cursor, "commands/monthly_first", whole)[0],
    )

"""The facts of one month, from the load log and BACKUP_DIR."""

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import NamedTuple

from psycopg2.extensions import cursor

from base.files import size_of
from base.settings import Settings
from postgres.statements import one, rows


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
        """The first day of the month."""
        return date(self.year, self.number, 1)

    @property
    def end(self) -> date:
        """The first day of the next month."""
        return self.first + timedelta(days=calendar.monthrange(self.year, self.number)[1])

    @property
    def before(self) -> "Month":
        """The month before."""
        return self.of(self.first - timedelta(days=1))

    def __str__(self) -> str:
        """Return the month as ``yyyy-mm``."""
        return f"{self.year:04}-{self.number:02}"


class Day(NamedTuple):
    """One day: its nights, and what their reports brought."""

    day: date
    nights: int  # that began on this day
    done: int  # nights that ended well
    failed: int  # nights that failed or crashed; a night that is neither is still running
    seconds: float | None  # of all nights together; None: no night has ended
    files: int  # reports of runs that began on this day
    loaded: int
    duplicate: int
    refused: int
    quarantined: int
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int
    undone: int


class Notable(NamedTuple):
    """A report that was not loaded, or that came under the name of an earlier report."""

    day: date
    name: str
    status: str  # its fate
    rows_read: int
    why: str | None


class Change(NamedTuple):
    """What somebody changed in the load log."""

    when: datetime  # local
    what: str
    name: str | None  # of the report; None for a prune
    lines: int
    person: str


class FailedNight(NamedTuple):
    """A night that failed or crashed."""

    started: datetime  # local
    status: str  # failed or crashed
    exit_status: int | None  # None: the night crashed
    seconds: float | None  # None: the night crashed


class Gap(NamedTuple):
    """A report that was missing in the consecutive numbers."""

    name: str
    came_later: bool


class Backup(NamedTuple):
    """A zip that the load log names."""

    name: str
    bytes: int | None  # None: the zip is not in BACKUP_DIR, and not pruned


class Campaign(NamedTuple):
    """The mails sent in the month."""

    sent: int
    hard_bounces: int
    opened: int
    clicked: int
    unsubscribed: int

    @property
    def delivered(self) -> int:
        """Mails sent, less hard bounces."""
        return self.sent - self.hard_bounces


@dataclass(frozen=True)
class Monthly:
    """The facts of one month."""

    month: Month
    days: list[Day]  # up to today
    rejects: dict[str, int]  # code: lines; the most frequent code first
    notable: list[Notable]
    changes: list[Change]
    failed: list[FailedNight]
    gaps: list[Gap]
    backups: list[Backup]
    durations: list[float]  # seconds of each night
    campaign: Campaign
    first_run: date | None  # None: no run yet

    def total(self, count: str) -> int:
        """Return the sum of one of Day's counts over the month."""
        return sum(getattr(day, count) for day in self.days)

    @property
    def without_files(self) -> list[date]:
        """Days with a good night but without a report."""
        return [day.day for day in self.days if day.done and not day.files]

    @property
    def without_night(self) -> list[date]:
        """Days without a night in the load log, counted from the first run on."""
        return [day.day for day in self.days if not day.nights and self.first_run and day.day >= self.first_run]

    @property
    def usual_duration(self) -> float | None:
        """The median duration of a night in seconds; None without a night."""
        return median(self.durations) if self.durations else None

    @property
    def missing_backups(self) -> list[str]:
        """The names of zips that the load log names and BACKUP_DIR lacks."""
        return [backup.name for backup in self.backups if backup.bytes is None]


def gather(cursor: cursor, month: Month, settings: Settings) -> Monthly:
    """Return the facts of a month; its days are days in TIMEZONE."""
    today = settings.now().date()
    whole = {"first": month.first, "end": month.end, "timezone": settings.timezone}
    so_far = whole | {"end": max(month.first, min(month.end, today + timedelta(days=1)))}
    return Monthly(
        month,
        [Day(*row) for row in rows(cursor, "commands/monthly_days", so_far)],
        dict(rows(cursor, "commands/monthly_rejects", whole)),
        [Notable(*row) for row in rows(cursor, "commands/monthly_files", whole)],
        [Change(*row) for row in rows(cursor, "commands/monthly_changes", whole)],
        [FailedNight(*row) for row in rows(cursor, "commands/monthly_failed", whole)],
        [Gap(*row) for row in rows(cursor, "commands/monthly_gaps", whole)],
        [
            Backup(name, was if is_pruned else size_of(settings.backup_dir / name))
            for name, is_pruned, was in rows(cursor, "commands/monthly_zips", whole)
        ],
        [seconds for (seconds,) in rows(cursor, "commands/monthly_durations", whole)],
        Campaign(*one(cursor, "commands/monthly_campaign", whole)),
        one(cursor, "commands/monthly_first", whole)[0],
    )

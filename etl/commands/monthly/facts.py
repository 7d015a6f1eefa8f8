"""The facts of a month: the records that the monthly report is made of."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from commands.monthly.forms import Month, Rate, Seconds, Size, share


class Mails(NamedTuple):
    """What became of the mails of a day, or of a month."""

    day: date  # the day of sending; the first day of the month
    sent: int
    hard_bounces: int
    delivered: int  # sent, less hard bounces
    opened: int  # of the delivered, as what follows
    clicked: int
    unsubscribed: int

    @property
    def rates(self) -> tuple[Rate | None, ...]:
        """The shares: delivered of the sent, then opened, clicked and unsubscribed of the delivered."""
        return share(self.delivered, self.sent), *(share(part, self.delivered) for part in self[4:])


class Loading(NamedTuple):
    """What the reports and the nights of a month brought, as far as it counts by now."""

    files: int
    loaded: int
    duplicate: int
    refused: int
    quarantined: int
    undone: int
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int
    nights: int
    nights_failed: int

    @property
    def reject_rate(self) -> Rate | None:
        """The share of the lines read that are rejected."""
        return share(self.rows_rejected, self.rows_read)


class Reject(NamedTuple):
    """A reject code."""

    code: str
    lines: int
    before: int  # lines in the month before
    name: str  # of a report with such a line
    line_number: int | None  # None: no such line is kept
    message: str | None  # of that line, mailboxes masked


class Report(NamedTuple):
    """A report that was not loaded, came under a known name, or was changed since."""

    file_id: int
    day: date
    name: str
    status: str  # fate of the delivery
    fate: str  # what became of it by now
    counts_later: bool  # the same bytes came again, and count there
    rows_read: int
    name_reused: bool
    message: str | None  # why it was refused or quarantined
    same_as: str | None  # the loaded report with the same bytes


class Since(NamedTuple):
    """What somebody changed in a report of the month, at any time since."""

    what: str
    day: date
    lines: int


class Night(NamedTuple):
    """A night, or a run by hand that brought reports."""

    began: datetime  # local
    script: str  # etl for a night
    status: str
    exit_status: int | None  # None: it runs, or it crashed
    seconds: Seconds | None
    files: int
    rows_read: int
    rows_rejected: int

    @property
    def is_night(self) -> bool:
        """Whether it is a run of etl.sh."""
        return self.script == "etl"

    @property
    def is_bad(self) -> bool:
        """Whether it failed or crashed."""
        return self.status in ("failed", "crashed")


class Gap(NamedTuple):
    """A report that was missing in the consecutive numbers."""

    day: date
    name: str
    came_later: bool


class Backup(NamedTuple):
    """A zip that the load log names."""

    day: date
    name: str
    files: int
    bytes: Size | None  # None: the zip is not in BACKUP_DIR; or it is pruned, and its size was not kept
    is_pruned: bool

    @property
    def state(self) -> str:
        """Return ``missing`` if the zip should be in BACKUP_DIR and is not, ``pruned`` if it need not be there."""
        return "pruned" if self.is_pruned else "missing" if self.bytes is None else ""


class Change(NamedTuple):
    """What somebody changed in the load log."""

    when: datetime  # local
    what: str
    name: str | None  # of the report; None for a prune
    lines: int
    person: str


@dataclass(frozen=True)
class Monthly:
    """The facts of one month."""

    month: Month
    months: list[tuple[Mails, Loading]]  # twelve, this one last
    campaigns: list[Mails]  # one for each day of sending
    rejects: list[Reject]
    reports: list[Report]
    since: dict[int, list[Since]]  # by file_id of the report
    nights: list[Night]
    silent: list[date]  # days without a night, from the first run on and up to today
    gaps: list[Gap]
    backups: list[Backup]
    changes: list[Change]
    newest_night: date | None
    newest_mails: date | None

    @property
    def mails(self) -> Mails:
        """What became of this month's mails."""
        return self.months[-1][0]

    @property
    def loading(self) -> Loading:
        """What this month's reports brought."""
        return self.months[-1][1]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of this month."""
        return not (self.mails.sent or self.nights or self.silent or self.changes)

"""The tables of the monthly report, the same on the page, on the terminal, in the mail and as CSV."""

from collections.abc import Iterator
from typing import NamedTuple

from base.fate import Fate
from base.files import natural_order
from commands.monthly.month import Day, Monthly
from notices.digest import FATES
from parsing.faults import Code

SHOWN = Day._fields.index("rows_rejected") + 1  # fields of Day that the table of days shows


class Rate(float):
    """A share from 0 to 1, shown in per cent."""

    def __str__(self) -> str:
        """Return ``12.5 %`` for 0.125."""
        return f"{self:.1%}".replace("%", " %")


class Sheet(NamedTuple):
    """One table of the monthly report."""

    name: str
    title: str
    columns: list[str]  # a column whose name begins with > holds figures
    rows: list[tuple[object, ...]]
    empty: str  # the text in place of a table without rows


def sheets_of(now: Monthly, before: Monthly) -> Iterator[Sheet]:
    """Yield the tables of the month ``now``, compared with the month ``before``."""
    figures = zip(figures_of(now), figures_of(before), strict=True)
    yield Sheet(
        "figures",
        "Figures",
        ["", f">{now.month}", f">{before.month}"],
        [(name, value, earlier) for (name, value), (_, earlier) in figures],
        "",
    )
    yield Sheet(
        "rejects",
        "Rejected lines by code",
        ["code", f">{now.month}", f">{before.month}", "meaning"],
        [
            (code, now.rejects.get(code, 0), before.rejects.get(code, 0), Code(code).meaning)
            for code in dict.fromkeys((*now.rejects, *before.rejects))
        ],
        "No line was rejected.",
    )
    yield Sheet(
        "nights",
        "Nights that failed",
        ["began", "how it ended", ">exit status", ">seconds"],
        [(f"{failed.started:%Y-%m-%d %H:%M}", *failed[1:]) for failed in now.failed],
        "No night failed.",
    )
    silent = dict.fromkeys(now.without_files, "no files came") | dict.fromkeys(now.without_night, "no night in the load log")
    yield Sheet("silent", "Nights without files", ["day", "what"], sorted(silent.items()), "Every night found files.")
    yield Sheet(
        "reports",
        "Reports that were not loaded, or came under a known name",
        ["day", "report", "status", ">lines", "why"],
        list(now.notable),
        "Every report was loaded, and under a new name.",
    )
    yield Sheet(
        "changes",
        "Changes that people made",
        ["when", "what", "report", ">lines", "by"],
        [(f"{change.when:%Y-%m-%d %H:%M}", *change[1:]) for change in now.changes],
        "Nobody changed anything.",
    )
    yield Sheet(
        "gaps",
        "Gaps in the consecutive numbers",
        ["missing", "came later"],
        [(gap.name, "yes" if gap.came_later else "no") for gap in sorted(now.gaps, key=lambda gap: natural_order(gap.name))],
        "No number is missing.",
    )
    yield Sheet(
        "days",
        "Day by day",
        ["day", *(f">{name.replace('rows_read', 'lines').removeprefix('rows_')}" for name in Day._fields[1:SHOWN])],
        [day[:SHOWN] for day in now.days if now.first_run and day.day >= now.first_run],
        "No night yet.",
    )


def figures_of(month: Monthly) -> list[tuple[str, object]]:
    """Return (name, value) of each figure of a month; a value is None if unknown."""
    campaign, read, rejected = month.campaign, month.total("rows_read"), month.total("rows_rejected")
    return [
        ("files processed", month.total("files")),
        *((f"files {status}", month.total(status)) for status in (*FATES, Fate.UNDONE)),
        ("lines processed", read),
        ("lines loaded", month.total("rows_loaded")),
        ("lines rejected", rejected),
        ("lines rejected, share", Rate(rejected / read) if read else None),
        ("visitors new", month.total("visitors_new")),
        ("visitors updated", month.total("visitors_updated")),
        ("nights", month.total("nights")),
        ("nights failed", month.total("failed")),
        ("nights without files", len(month.without_files)),
        ("days without a night", len(month.without_night)),
        ("night's duration, median seconds", month.usual_duration),
        ("night's duration, longest seconds", max(month.durations, default=None)),
        ("gaps in the consecutive numbers", len(month.gaps)),
        ("backups", len(month.backups)),
        ("backups, bytes", sum(backup.bytes or 0 for backup in month.backups)),
        ("backups missing", len(month.missing_backups)),
        ("mails sent in the month", campaign.sent),
        ("mails bounced for good", campaign.hard_bounces),
        ("mails opened", campaign.opened),
        ("mails clicked", campaign.clicked),
        ("mails that unsubscribed", campaign.unsubscribed),
        ("bounced, share of the sent", share(campaign.hard_bounces, campaign.sent)),
        ("opened, share of the delivered", share(campaign.opened, campaign.delivered)),
        ("clicked, share of the delivered", share(campaign.clicked, campaign.delivered)),
        ("clicked, share of the opened", share(campaign.clicked, campaign.opened)),
        ("unsubscribed, share of the delivered", share(campaign.unsubscribed, campaign.delivered)),
    ]


def share(part: int, whole: int) -> Rate | None:
    """Return the part divided by the whole; None if the whole is 0."""
    return Rate(part / whole) if whole else None


def needs(month: Monthly) -> list[str]:
    """Return what needs a person, a few words each."""
    refused, quarantined = month.total(Fate.REFUSED), month.total(Fate.QUARANTINED)
    open_gaps = [gap.name for gap in month.gaps if not gap.came_later]
    found = {
        "no night ran": not month.total("nights") and not month.without_night,
        f"nights that failed: {month.total('failed')}": month.failed,
        f"days without a night in the load log: {len(month.without_night)}": month.without_night,
        f"files refused: {refused}, quarantined: {quarantined}": refused or quarantined,
        f"numbers missing: {len(open_gaps)}": open_gaps,
        f"backups that are not in BACKUP_DIR: {len(month.missing_backups)}": month.missing_backups,
    }
    return [words for words, there in found.items() if there]

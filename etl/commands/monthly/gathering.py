"""Where the facts of a month come from: the views of the database, the load log and BACKUP_DIR."""

from datetime import date, timedelta
from typing import Any

from psycopg2.extensions import cursor

from base.files import natural_order, size_of
from base.settings import Settings
from commands.monthly.facts import Backup, Change, Gap, Loading, Mails, Monthly, Night, Reject, Report, Since
from commands.monthly.forms import YEAR, Month, Seconds, Size
from postgres.statements import one, query, rows


def gather(cursor: cursor, month: Month, settings: Settings) -> Monthly:
    """Return the facts of a month, all as of one moment; its days are days in TIMEZONE."""
    cursor.execute(query("commands/read_only"))
    cursor.execute(query("commands/monthly_zone"), {"timezone": settings.timezone})
    whole = {"first": month.first, "end": month.later(1).first}
    first_run, newest_night, newest_mails = one(cursor, "commands/monthly_known")
    nights = [Night(*row) for row in rows(cursor, "commands/monthly_nights", whole)]
    nights = [night._replace(seconds=None if night.seconds is None else Seconds(night.seconds)) for night in nights]
    end = min(whole["end"], settings.now().date() + timedelta(days=1))
    since: dict[int, list[Since]] = {}
    for file_id, *change in rows(cursor, "commands/monthly_since", whole):
        since.setdefault(file_id, []).append(Since(*change))
    return Monthly(
        month,
        gather_year(cursor, month),
        [Mails(*row) for row in rows(cursor, "commands/monthly_campaigns", whole)],
        [Reject(*row) for row in rows(cursor, "commands/monthly_rejects", whole)],
        [Report(*row) for row in rows(cursor, "commands/monthly_reports", whole)],
        since,
        nights,
        list(silent_days(nights, max(month.first, first_run), end)) if first_run else [],
        sorted((Gap(*row) for row in rows(cursor, "commands/monthly_gaps", whole)), key=lambda gap: natural_order(gap.name)),
        [backup_of(settings, row) for row in rows(cursor, "commands/monthly_zips", whole)],
        [Change(*row) for row in rows(cursor, "commands/monthly_changes", whole)],
        newest_night,
        newest_mails,
    )


def gather_year(cursor: cursor, month: Month) -> list[tuple[Mails, Loading]]:
    """Return the figures of the twelve months up to this one; a month that nothing is known of has zeros."""
    counts = len(Mails._fields) - 1, len(Loading._fields)
    known = {row[0]: row[1:] for row in rows(cursor, "commands/monthly_months", {"first": month.first})}
    firsts = [month.later(back).first for back in range(1 - YEAR, 1)]
    found = [(first, known.get(first, (0,) * sum(counts))) for first in firsts]
    return [(Mails(first, *sums[: counts[0]]), Loading(*sums[counts[0] :])) for first, sums in found]


def silent_days(nights: list[Night], first: date, end: date) -> list[date]:
    """Return the days from first up to end on which no night began."""
    began = {night.began.date() for night in nights if night.is_night}
    days = [first + timedelta(days=number) for number in range((end - first).days)]
    return [day for day in days if day not in began]


def backup_of(settings: Settings, row: tuple[Any, ...]) -> Backup:
    """Return a row of load_zip as a Backup; if the zip must be there, its size is what BACKUP_DIR says."""
    backup = Backup(*row)
    size = backup.bytes if backup.is_pruned else size_of(settings.backup_dir / backup.name)
    return backup._replace(bytes=None if size is None else Size(size))

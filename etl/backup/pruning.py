"""Retention: which zips and which rejected lines are older than the settings keep, and how they go (contract section 9)."""

import logging
from typing import NamedTuple

from psycopg2.extensions import cursor

from base.settings import Settings
from postgres import changes, ledger
from postgres.database import Database
from postgres.statements import query, rows

log = logging.getLogger("etl.pruning")


class OldZip(NamedTuple):
    """A zip that is older than BACKUP_KEEP_DAYS."""

    name: str
    files: int
    is_held: bool  # one of its reports is not archived, or perhaps still on the server: the zip stays


class OldLines(NamedTuple):
    """The rejected lines, as received, of a report that is older than ERRORS_KEEP_DAYS."""

    file_id: int
    lines: int


class Old(NamedTuple):
    """What is older than the settings keep."""

    zips: list[OldZip]
    lines: list[OldLines]

    @property
    def going(self) -> list[OldZip]:
        """The zips that nothing holds back."""
        return [old for old in self.zips if not old.is_held]


def find_old(cursor: cursor, settings: Settings) -> Old:
    """Return what is older than the settings keep; nothing is, where a setting is not set."""
    return Old(
        [OldZip(*row) for row in rows(cursor, "ledger/zip_old", {"days": settings.backup_keep_days})],
        [OldLines(*row) for row in rows(cursor, "ledger/raw_old", {"days": settings.errors_keep_days})],
    )


def prune(database: Database, settings: Settings, *, by_person: bool = False) -> None:
    """Give up what is older than the settings keep; what a person gives up is entered as that person's change.

    The load log gives up a zip before its file is deleted: whatever a kill leaves of such files is no flaw, and goes with the
    next call.
    """
    if settings.backup_keep_days is None and settings.errors_keep_days is None:
        return
    old = database.run(enter_pruned, settings, by_person)
    pruned = {known.name for known in database.run(ledger.zips) if known.is_pruned}
    for path in sorted(settings.backup_dir.glob("visitas_*.zip*")):
        if path.name in pruned:
            path.unlink(missing_ok=True)
            log.info("deleted %s", path)
    held = len(old.zips) - len(old.going)
    log.info("pruned zips=%d held=%d raw_lines=%d", len(old.going), held, sum(file.lines for file in old.lines))


def enter_pruned(cursor: cursor, settings: Settings, by_person: bool) -> Old:
    """Enter in the load log what is given up, and empty the rejected lines; return what is given up."""
    old = find_old(cursor, settings)
    if by_person and (old.going or old.lines):
        changes.enter_prune(cursor, sum(file.lines for file in old.lines))
    cursor.execute(query("ledger/zip_pruned"), {"names": [gone.name for gone in old.going]})
    cursor.execute(query("ledger/raw_pruned"), {"ids": [file.file_id for file in old.lines]})
    return old

"""What the commands that change a file share: which file is meant, and what would become of counts and sums."""

import argparse
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from psycopg2.extensions import cursor

from base.counting import count_of
from base.fate import Fate
from base.settings import Settings
from base.trouble import StageError, Status
from commands.asking import confirm
from commands.console import add_row, console, show, shown, table
from postgres.changes import Moved
from postgres.statements import rows
from runtime.script import some_text

ID_LIMIT = 2**31 - 1  # Postgres integer
MAILS = ("sent", "bounced for good", "opened", "clicked", "unsubscribed")

Mails = dict[str, tuple[int, ...]]  # month of sending: a sum for each of MAILS


class File(NamedTuple):
    """A report in the load log."""

    file_id: int
    name: str
    sha256: str
    status: str  # its fate
    decided: datetime  # local
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int
    archive_name: str | None  # None: not in a zip yet
    is_pruned: bool  # that zip is
    is_newest: bool  # no later load of the same bytes

    def __str__(self) -> str:
        """Return e.g. ``report_8.txt (ID 12)``."""
        return f"{shown(self.name)} (ID {self.file_id})"


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a report."""
    parser.add_argument("--file", type=some_text, metavar="NAME", help="name of the report")
    parser.add_argument("--id", type=some_id, metavar="N", help="its id in load_file; needed if the name came several times")


def parse_file(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return what the command line says; complain if it names no report."""
    parsed = parser.parse_args()
    if parsed.file is None and parsed.id is None:
        parser.error("one of the arguments --file --id is required")
    return parsed


def some_id(typed: str) -> int:
    """Return the id that somebody typed, or refuse what can be none."""
    if not (typed.isascii() and typed.isdecimal() and 0 < int(typed) <= ID_LIMIT):
        raise argparse.ArgumentTypeError(f"{typed!r} is no id; the ids are those of load_file")
    return int(typed)


def nothing(fact: str, hint: str) -> StageError:
    """Return the trouble that what is to be changed is not there."""
    return StageError(Status.SETTINGS, fact, hint)


def choose(cursor: cursor, asked: argparse.Namespace, fates: Collection[Fate], settings: Settings) -> File:
    """Return the one report with one of these fates that the command line means; raise StageError if there is not one."""
    found = find(cursor, settings, file_id=asked.id, name=asked.file)
    if not found:
        named = " ".join([*([f"ID={asked.id}"] if asked.id else []), *([f"FILE={shown(asked.file)}"] if asked.file else [])])
        raise nothing(f"the load log does not know {named}.", "make history shows the nights; load_file has every report.")
    fit = [file for file in found if file.status in fates and (file.is_newest or asked.id)]
    if not fit:
        wanted = " or ".join(fates)
        raise nothing(f"{found[-1]} is {found[-1].status}, not {wanted}.", f"make history FILE={shown(found[-1].name)}")
    if len(fit) > 1:
        ids = ", ".join(f"ID={file.file_id} of {file.decided} with {count_of(file.rows_read, 'line')}" for file in fit)
        raise nothing(f"several reports have the name {shown(asked.file)}.", f"name one: {ids}.")
    return fit[0]


def find(
    cursor: cursor, settings: Settings, *, file_id: int | None = None, name: str | None = None, sha256: str | None = None
) -> list[File]:
    """Return the reports with this id, this name and these bytes; None does not ask."""
    values = {"file_id": file_id, "name": name, "sha256": sha256, "timezone": settings.timezone}
    return [File(*row) for row in rows(cursor, "changes/files", values)]


def is_agreed(cursor: cursor, question: str, yes: bool) -> bool:
    """Ask whether what this transaction has changed is wanted, and return the answer; if it is not, take it back."""
    agreed = confirm(question, yes)
    if not agreed:
        cursor.connection.rollback()
    return agreed


def mails(cursor: cursor) -> Mails:
    """Return what became of the mails, by month."""
    return {month: tuple(sums) for month, *sums in rows(cursor, "changes/mails")}


def preview(sentences: list[str], moved: Moved, before: Mails, after: Mails) -> None:
    """Print what a change does: to lines, to visitors, and to the sums of each month."""
    screen = console()
    for sentence in sentences:
        screen.print(shown(sentence), soft_wrap=True)
    screen.print(f"{moved}.".capitalize(), soft_wrap=True)
    made = table("", "mails of", "", ">before", ">after")
    nobody = (0,) * len(MAILS)
    for month in sorted(before.keys() | after.keys()):
        for what, one, other in zip(MAILS, before.get(month, nobody), after.get(month, nobody), strict=True):
            if one != other:
                add_row(made, month, what, one, other)
    if made.rows:
        show(screen, made)

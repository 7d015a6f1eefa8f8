"""What a table of the monthly report is, and what in it needs a person."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from commands.monthly.forms import said
from notices.language import Language

LINKS = 8  # rows that a warning names; it counts the others


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[object, ...]
    needs: bool = False  # whether the row needs a person


class Sheet(NamedTuple):
    """One table of the monthly report."""

    name: str
    title: str
    columns: list[str]  # a column whose name begins with > holds figures
    rows: list[Row]
    empty: str = ""  # the text in place of a table without rows
    need: str = ""  # what the rows that need a person have in common
    label: int = 0  # the column that names a row

    def anchor(self, number: int) -> str:
        """Return the id of a row on the page."""
        return f"{self.name}-{number}"


class Part(NamedTuple):
    """One part of the monthly report."""

    name: str
    title: str
    sheets: list[Sheet]


class Need(NamedTuple):
    """What needs a person, and the rows that say more."""

    text: str
    links: list[tuple[str, str]]  # (label, id of the row)

    def __str__(self) -> str:
        """Return both."""
        return f"{self.text}: {', '.join(label for label, _ in self.links)}"


def needs_of(sheets: Iterable[Sheet], words: Language) -> Iterator[Need]:
    """Yield what needs a person, table by table."""
    for sheet in sheets:
        found = [
            (said(row.cells[sheet.label], words), sheet.anchor(number)) for number, row in enumerate(sheet.rows) if row.needs
        ]
        count = len(found)
        if count > LINKS:
            found[LINKS - 1 :] = [(words("{more} more", more=count - LINKS + 1), found[LINKS - 1][1])]
        if found:
            yield Need(f"{sheet.need} ({count})", found)


def figures(*names: str) -> list[str]:
    """Return the heads of columns that hold figures."""
    return [f">{name}" for name in names]

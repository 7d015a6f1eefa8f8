"""The terminal: tables with figures on the right, and colour only where somebody looks."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 150  # columns where no terminal says


def console() -> Console:
    """Return the way to print for people."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False, emoji=False)


def table(title: str, *columns: str) -> Table:
    """Return an empty table; a column whose name begins with ``>`` holds figures."""
    made = Table(title=title or None, title_justify="left", title_style="bold")
    for column in columns:
        is_figure = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if is_figure else "left", no_wrap=is_figure, overflow="fold")
    return made


def show(screen: Console, table: Table) -> None:
    """Print a table; where its figures do not fit, it is wider than the screen."""
    screen.print(table, width=max(screen.width, screen.measure(table).minimum), crop=False)


def add_row(table: Table, *cells: object) -> None:
    """Add a row: whole numbers get thousands separators, None is a blank, and text is shown as it is."""
    table.add_row(*(cell if isinstance(cell, Text) else Text(words(cell)) for cell in cells))


def words(value: object) -> str:
    """Return a value as people read it: thousands separated, durations with one decimal, dates as ISO, None as a blank."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.1f}" if type(value) is float else str(value)  # a subclass has words of its own

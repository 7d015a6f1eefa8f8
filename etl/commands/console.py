"""The terminal: tables with figures on the right, lines where no table fits, and colour only where somebody looks."""

import os
import sys
from copy import copy
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from base.masking import printable

WIDTH = 150  # columns where no terminal says
HEIGHT = 25  # lines; nothing depends on it, but without it rich takes a terminal without abilities for 80 columns wide
NARROWEST = 20  # columns: whoever says fewer, or none, does not mean it
LEAST_TEXT = 16  # columns of a text that is folded; a narrower one is no longer read


def console() -> Console:
    """Return the way to print for people, as wide as COLUMNS or the terminal says."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        width = max(int(said), NARROWEST)
    else:
        width = (os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0) or WIDTH
    return Screen(width=width, height=HEIGHT, highlight=False, markup=False, emoji=False)


class Screen(Console):
    """A terminal that gets printable text only, whoever said it."""

    def render_str(self, text: str, **form: Any) -> Text:
        """Return the text as rich prints it, its lines printable."""
        return super().render_str("\n".join(map(shown, text.split("\n"))), **form)


def say(*sentences: str) -> None:
    """Print some sentences, each on a line of its own, however wide the terminal is."""
    for sentence in sentences:
        print(shown(sentence))


def table(title: str, *columns: str) -> Table:
    """Return an empty table; a column whose name begins with ``>`` holds figures."""
    made = Table(title=title or None, title_justify="left", title_style="bold")
    for column in columns:
        is_figure = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if is_figure else "left", no_wrap=is_figure, overflow="fold")
    return made


def show(screen: Console, *tables: Table) -> None:
    """Print the first of some tables, the widest first, that fits with its texts folded; or the last without its frame.

    Where even that does not fit, each row of the first is a block of lines.
    """
    for table in tables:
        if least_width(table) + 3 * len(table.columns) + 1 <= screen.width:
            screen.print(table)
            return
    for gap in (2, 1):
        table = close(tables[-1], gap)
        if least_width(table) + gap * (len(table.columns) - 1) <= screen.width:
            screen.print(table)
            return
    show_blocks(screen, tables[0])


def least_width(table: Table) -> int:
    """Give each column of text the least width that it is read at; return the sum of all columns' widths, no frame included."""
    for column in table.columns:
        cells = (str(cell) for cell in (column.header, *column.cells, column.footer))
        widest = max(cell_len(line) for cell in cells for line in cell.split("\n"))
        column.min_width = widest if column.no_wrap else min(LEAST_TEXT, widest)
    return sum(column.min_width or 0 for column in table.columns)


def close(table: Table, gap: int) -> Table:
    """Return the table with the words of its headers one below the other, and without a frame, its columns a gap apart."""
    made = copy(table)
    made.columns = [copy(column) for column in table.columns]
    for column in made.columns:
        column.header = "\n".join(str(column.header).split())
    made.box, made.padding, made.pad_edge, made.show_edge = box.SIMPLE_HEAD, (0, gap - 1, 0, 0), False, False
    return made


def show_blocks(screen: Console, table: Table) -> None:
    """Print each row as a block: its first cell, and below it the others that are not blank, each with its column's name."""
    if table.title:
        screen.print(table.title, style="bold")
    rows = [*zip(*(column.cells for column in table.columns), strict=True)]
    rows += [tuple(column.footer for column in table.columns)] if table.show_footer else []
    for head, *cells in rows:
        name = str(table.columns[0].header)
        screen.print(Text(f"{name}: " if name else "", style="bold").append(head))
        for column, cell in zip(table.columns[1:], cells, strict=True):
            if str(cell):
                text = Text(f"{column.header}: " if column.header else "", overflow="fold").append(cell)
                screen.print(Padding(text, (0, 0, 0, 2)))


def add_row(table: Table, *cells: object) -> None:
    """Add a row: whole numbers get thousands separators, None is a blank, and text is shown as it is."""
    table.add_row(*(cell if isinstance(cell, Text) else Text(shown(words(cell))) for cell in cells))


def shown(text: str) -> str:
    """Return text as one line, with escapes for all that stdout cannot or must not show, as wide as they will be."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def words(value: object) -> str:
    """Return a value as people read it: thousands separated, durations with one decimal, dates as ISO, None as a blank."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.1f}" if type(value) is float else printable(str(value))  # a subclass has words of its own

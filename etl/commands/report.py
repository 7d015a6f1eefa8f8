"""Write the monthly report. The page goes to LOG_DIR, and its tables to the terminal."""

import csv
import io
import socket
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from psycopg2.extensions import cursor
from rich.console import Console

from base import settings as every_setting
from base.files import whole_file
from base.masking import printable
from base.settings import Settings
from base.trouble import StageError, Status
from commands.console import add_row, console, show, shown, table, words
from commands.monthly.month import Month, Monthly, gather
from commands.monthly.tables import Sheet, needs, sheets_of
from notices import channels
from notices.channels import Notice, Unreached
from notices.rendering import TEMPLATES
from postgres.database import Database
from postgres.statements import one, query
from runtime.script import command_line, run_plain_command

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the begin of one


def main(arguments: Namespace) -> None:
    """Write the page of one month and print its tables; write CSV files and send the mail if asked."""
    settings = every_setting.load(Settings)
    month = arguments.month or Month.of(settings.now().date()).before
    database = Database(settings)
    now, before = database.run(gather_both, month, settings)
    newest = None if any(day.nights for day in now.days) or now.campaign.sent else database.run(newest_month, settings)
    database.close()
    sheets = list(sheets_of(now, before))
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    page = settings.log_dir / f"report-{month}.html"
    paths = [write(page, render(now, sheets, settings, charts_of(now)))]
    if arguments.csv:
        paths += [write(page.with_name(f"{page.stem}-{sheet.name}.csv"), as_csv(sheet)) for sheet in sheets]
    screen = console()
    if newest:
        screen.print(
            f"No night ran in {month}. The newest month with one is {newest}: make report MONTH={newest}", soft_wrap=True
        )
    show_sheets(screen, now, sheets)
    screen.print(f"Days and times are those of {settings.timezone}.")
    for path in paths:
        screen.print(shown(str(path)), soft_wrap=True)
    if arguments.mail:
        mail(now, sheets, page, settings)


def gather_both(cursor: cursor, month: Month, settings: Settings) -> tuple[Monthly, Monthly]:
    """Return the facts of the month and of the month before, both as of the same moment."""
    cursor.execute(query("commands/read_only"))
    return gather(cursor, month, settings), gather(cursor, month.before, settings)


def newest_month(cursor: cursor, settings: Settings) -> Month | None:
    """Return the month of the last night, None before the first."""
    last = one(cursor, "commands/status_run", {"timezone": settings.timezone})
    return last and Month.of(last[0].date())


def charts_of(month: Monthly) -> list[tuple[str, str]]:
    """Return (caption, SVG) of each chart. Raise StageError if what draws them is not installed."""
    try:
        from commands.monthly import charts  # noqa: PLC0415 - matplotlib takes most of a second, and a night does not need it
    except ModuleNotFoundError as error:
        fact = f"the monthly report needs {error.name}, which is not installed."
        raise StageError(Status.SETTINGS, fact, "make report installs it.") from error
    return [
        ("Lines per day", charts.lines_per_day(month)),
        *([("Rejected lines by code", charts.rejects_by_code(month))] if month.rejects else []),
        ("Duration of the nights", charts.duration_per_day(month)),
    ]


def render(month: Monthly, sheets: list[Sheet], settings: Settings, charts: list[tuple[str, str]]) -> str:
    """Return the page as HTML. The mail's HTML part is the page without charts."""
    return TEMPLATES.get_template("monthly.html").render(
        month=month,
        sheets=sheets,
        charts=charts,
        needs=needs(month),
        made=f"{settings.now():%Y-%m-%d %H:%M}",
        host=socket.gethostname(),
        timezone=settings.timezone,
        words=words,
    )


def write(path: Path, text: str) -> Path:
    """Write a text file in one step and return its path."""
    with whole_file(path) as file:
        file.write(text.encode())
    return path


def as_csv(sheet: Sheet) -> str:
    """Return a table as CSV; numbers have no thousands separators and at most four decimals."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.removeprefix(">") for column in sheet.columns)
    writer.writerows(map(as_cell, row) for row in sheet.rows)
    return text.getvalue()


def as_cell(value: object) -> object:
    """Return a value as a CSV file has it. A text that a spreadsheet would calculate gets an apostrophe, and stays a text."""
    if isinstance(value, float):
        return round(value, 4)
    text = printable(value) if isinstance(value, str) else value
    return f"'{text}" if isinstance(value, str) and value.startswith(FORMULA) else text


def show_sheets(screen: Console, month: Monthly, sheets: list[Sheet]) -> None:
    """Print what needs a person, then the tables."""
    screen.print(f"Monthly report of {month.month}: {'; '.join(needs(month)) or 'nothing needs a person'}.\n", soft_wrap=True)
    for sheet in sheets:
        if not sheet.rows:
            screen.print(sheet.title, style="bold")
            screen.print(sheet.empty + "\n")
            continue
        made = table(sheet.title, *sheet.columns)
        for row in sheet.rows:
            add_row(made, *row)
        show(screen, made)
        screen.print()


def mail(month: Monthly, sheets: list[Sheet], page: Path, settings: Settings) -> None:
    """Send the figures and tables by mail, with the page attached, or raise StageError."""
    needed = "; ".join(needs(month)) or "nothing needs a person"
    figures = "\n".join(f"{name:38}{words(value):>16}{words(earlier):>16}" for name, value, earlier in sheets[0].rows)
    head = f"{'':38}{month.month!s:>16}{month.month.before!s:>16}"
    notice = Notice(
        f"[visitas] Monthly report of {month.month}: {needed}",
        f"Monthly report of {month.month}: {needed}.\nThe page with all tables and charts is attached.\n\n{head}\n{figures}\n",
        render(month, sheets, settings, []),
        "",
        page,
    )
    if not settings.smtp_host:
        raise StageError(Status.SETTINGS, "the monthly report cannot be mailed: SMTP_HOST is not set.", "set SMTP_HOST in .env.")
    try:
        channels.send_mail(notice, settings)
    except Unreached as error:
        fact = f"the monthly report was not mailed: {error}."
        raise StageError(Status.SETTINGS, fact, "make check tries the mail server.") from error


def parse_month(text: str) -> Month:
    """Return the month that the command line names."""
    try:
        month = Month.parse(text)
        _ = month.before, month.end  # raises OverflowError at either end of the calendar
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{text!r} is no month; write it as 2013-02") from error
    return month


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--month", type=parse_month, metavar="YYYY-MM", help="the month to report (default: last month)")
    parser.add_argument("--mail", action="store_true", help="send the monthly report to MAIL_TO")
    parser.add_argument("--csv", action="store_true", help="write the tables as CSV files, too")
    parsed = parser.parse_args()
    run_plain_command("report", lambda: main(parsed))

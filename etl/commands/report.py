"""Write the monthly report. The page goes to LOG_DIR; the same tables go to the terminal, and by mail and as CSV if asked."""

import csv
import io
import socket
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from psycopg2.extensions import cursor
from rich.console import Console

from base import settings as every_setting
from base.files import whole_file
from base.settings import Settings
from base.trouble import StageError, Status
from commands.console import add_row, console, show, table, words
from commands.monthly.month import Month, Monthly, gather
from commands.monthly.tables import Sheet, needs, sheets_of
from notices import channels
from notices.channels import Notice, Unreached
from notices.rendering import TEMPLATES
from postgres.database import Database, query
from runtime.script import command_line, run_plain_command


def main(arguments: Namespace) -> None:
    """Write the page, and whatever else is asked for, of one month."""
    settings = every_setting.load(Settings)
    month = arguments.month or Month.of(settings.now().date()).before
    database = Database(settings)
    now, before = database.run(gather_both, month, settings)
    database.close()
    sheets = list(sheets_of(now, before))
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    page = settings.log_dir / f"report-{month}.html"
    paths = [write(page, render(now, sheets, settings, charts_of(now)))]
    if arguments.csv:
        paths += [write(page.with_name(f"{page.stem}-{sheet.name}.csv"), as_csv(sheet)) for sheet in sheets]
    screen = console()
    show_sheets(screen, now, sheets)
    for path in paths:
        screen.print(path, soft_wrap=True)
    if arguments.mail:
        mail(now, sheets, page, settings)


def gather_both(cursor: cursor, month: Month, settings: Settings) -> tuple[Monthly, Monthly]:
    """Return the month and the month before, both as of the same moment."""
    cursor.execute(query("commands/read_only"))
    return gather(cursor, month, settings), gather(cursor, month.before, settings)


def charts_of(month: Monthly) -> list[tuple[str, str]]:
    """Return the charts with their captions."""
    from commands.monthly import charts  # noqa: PLC0415 - matplotlib takes most of a second

    return [
        ("Lines per day", charts.lines_per_day(month)),
        *([("Rejected lines by code", charts.rejects_by_code(month))] if month.rejects else []),
        ("Duration of the nights", charts.duration_per_day(month)),
    ]


def render(month: Monthly, sheets: list[Sheet], settings: Settings, charts: list[tuple[str, str]]) -> str:
    """Return the page."""
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
    """Write a file in one step and return its path."""
    with whole_file(path) as file:
        file.write(text.encode())
    return path


def as_csv(sheet: Sheet) -> str:
    """Return a table as CSV, figures as computers read them."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.removeprefix(">") for column in sheet.columns)
    writer.writerows([round(cell, 4) if isinstance(cell, float) else cell for cell in row] for row in sheet.rows)
    return text.getvalue()


def show_sheets(screen: Console, month: Monthly, sheets: list[Sheet]) -> None:
    """Print the tables."""
    screen.print(f"Report of {month.month}: {'; '.join(needs(month)) or 'nothing needs a person'}.\n", soft_wrap=True)
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
    """Send the tables, with the page attached, or raise StageError."""
    needed = "; ".join(needs(month)) or "nothing needs a person"
    figures = "\n".join(f"{name:38}{words(value):>16}{words(earlier):>16}" for name, value, earlier in sheets[0].rows)
    head = f"{'':38}{month.month!s:>16}{month.month.before!s:>16}"
    notice = Notice(
        f"[visitas] Report of {month.month}: {needed}",
        f"Report of {month.month}: {needed}.\nThe page with everything is attached.\n\n{head}\n{figures}\n",
        render(month, sheets, settings, []),
        "",
        page,
    )
    if not settings.smtp_host:
        raise StageError(Status.SETTINGS, "the report cannot be mailed: SMTP_HOST is not set.", "make check looks at the mail.")
    try:
        channels.send_mail(notice, settings)
    except Unreached as error:
        raise StageError(Status.SETTINGS, f"the report was not mailed: {error}.", "make check looks at the mail.") from error


def month_given(text: str) -> Month:
    """Return the month named on the command line."""
    try:
        month = Month.parse(text)
        _ = month.before, month.end  # the calendar has an edge
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{text!r} is no month; write it as 2013-02") from error
    return month


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--month", type=month_given, metavar="YYYY-MM", help="the month to report (default: last month)")
    parser.add_argument("--mail", action="store_true", help="send it to MAIL_TO")
    parser.add_argument("--csv", action="store_true", help="write the tables as CSV files, too")
    parsed = parser.parse_args()
    run_plain_command("report", lambda: main(parsed))

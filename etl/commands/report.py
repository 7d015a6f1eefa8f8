"""Write the monthly report. The page goes to LOG_DIR, and its tables to the terminal."""

import csv
import io
import socket
from argparse import ArgumentTypeError, Namespace
from datetime import datetime
from functools import partial
from pathlib import Path

from markupsafe import Markup

from base import settings as every_setting
from base.files import whole_file
from base.masking import clean
from base.settings import Settings
from base.trouble import StageError, Status
from base.trust import make_folder
from commands.console import add_row, console, show, shown, table
from commands.monthly import sentences
from commands.monthly.facts import Monthly
from commands.monthly.forms import YEAR, Month, month_name, said
from commands.monthly.gathering import gather
from commands.monthly.sheets import Sheet, needs_of
from commands.monthly.tables import headlines, parts_of
from notices import channels
from notices.channels import Notice, Unreached
from notices.language import Language, read_language
from notices.rendering import TEMPLATES
from postgres.database import Database
from runtime.script import command_line, run_plain_command

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the begin of one


def main(arguments: Namespace) -> None:
    """Write the page of one month and print its tables; write CSV files and send the mail if asked."""
    settings = every_setting.load(Settings)
    month = arguments.month or Month.of(settings.now().date()).later(-1)
    database = Database(settings)
    now = database.run(gather, month, settings)
    database.close()
    english, words = Language(), read_language(settings.notice_language)
    sheets = [headlines(now, english), *(sheet for part in parts_of(now, english) for sheet in part.sheets)]
    make_folder("LOG_DIR", settings.log_dir)
    page = settings.log_dir / f"report-{month}.html"
    paths = [write(page, render(now, settings, charts_of(now, words), words))]
    if arguments.csv:
        paths += [write(page.with_name(f"{page.stem}-{sheet.name}.csv"), as_csv(sheet)) for sheet in sheets]
    show_report(now, sheets, settings)
    for path in paths:
        console().print(shown(str(path)), soft_wrap=True)
    if arguments.mail:
        mail(now, page, words, settings)


def charts_of(now: Monthly, words: Language) -> dict[str, list[Markup]]:
    """Return the charts of each part of the page that has some. Raise StageError if what draws them is not installed."""
    try:
        from commands.monthly import charts  # noqa: PLC0415 - matplotlib takes most of a second, and a night does not need it
    except ModuleNotFoundError as error:
        fact = f"the monthly report needs {error.name}, which is not installed."
        raise StageError(Status.SETTINGS, fact, "make report installs it.") from error
    return {"mailings": charts.mailings(now, words), "nights": charts.nights(now, words)}


def render(now: Monthly, settings: Settings, charts: dict[str, list[Markup]], words: Language) -> str:
    """Return the page as HTML. The mail's HTML part is the page without charts."""
    parts, figures = parts_of(now, words), headlines(now, words)
    needs = list(needs_of((sheet for part in parts for sheet in part.sheets), words))
    made = settings.now()
    return TEMPLATES.get_template("monthly.html").render(
        words=words,
        month=month_name(now.month.first, words),
        headline=sentences.headline(now, words),
        notes=sentences.notes(now, settings.now().date(), words),
        is_empty=now.is_empty,
        headlines=figures,
        month_before=figures.columns[2].removeprefix(">"),
        needs=needs,
        good="" if needs else sentences.praise(now, words),
        parts=parts,
        charts=charts,
        made=f"{words.day(made, 'yMMMd')} {made:%H:%M}",
        host=socket.gethostname(),
        timezone=settings.timezone,
        said=partial(said, words=words),
    )


def write(path: Path, text: str) -> Path:
    """Write a text file in one step and return its path."""
    with whole_file(path) as file:
        file.write(text.encode())
    return path


def as_csv(sheet: Sheet) -> str:
    """Return a table as CSV; numbers have no units and no thousands separators, and at most four decimals."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.removeprefix(">") for column in sheet.columns)
    writer.writerows(map(as_cell, row.cells) for row in sheet.rows)
    return text.getvalue()


def as_cell(value: object) -> object:
    """Return a value as a CSV file has it. A text that a spreadsheet would calculate gets an apostrophe, and stays a text."""
    if isinstance(value, float):
        return round(float(value), 4)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    text = clean(value) if isinstance(value, str) else value
    return f"'{text}" if isinstance(value, str) and value.startswith(FORMULA) else text


def sentences_of(now: Monthly, words: Language, settings: Settings) -> list[str]:
    """Return the headline, what whoever reads the figures must know, and what needs a person."""
    sheets = (sheet for part in parts_of(now, words) for sheet in part.sheets)
    needs = [f"{need}." for need in needs_of(sheets, words)] or [sentences.praise(now, words)]
    notes = sentences.notes(now, settings.now().date(), words)
    return [sentences.headline(now, words), *notes, *filter(None, needs)]


def show_report(now: Monthly, sheets: list[Sheet], settings: Settings) -> None:
    """Print the sentences of the report and its tables; the sentences alone if nothing is known of the month."""
    screen = console()
    for sentence in sentences_of(now, Language(), settings):
        screen.print(sentence, soft_wrap=True)
    for sheet in [] if now.is_empty else sheets:
        screen.print()
        if not sheet.rows:
            screen.print(sheet.title, style="bold")
            screen.print(sheet.empty)
            continue
        made = table(sheet.title, *sheet.columns)
        for row in sheet.rows:
            add_row(made, *(said(cell, Language()) for cell in row.cells))
        show(screen, made)
    screen.print(f"\nDays and times are those of {settings.timezone}.")


def mail(now: Monthly, page: Path, words: Language, settings: Settings) -> None:
    """Send the sentences and the headline figures by mail, with the page attached, or raise StageError."""
    if not settings.smtp_host:
        raise StageError(Status.SETTINGS, "the monthly report cannot be mailed: SMTP_HOST is not set.", "set SMTP_HOST in .env.")
    parts, sheet = parts_of(now, words), headlines(now, words)
    needs = needs_of((sheet for part in parts for sheet in part.sheets), words)
    said_first = "; ".join(need.text for need in needs) or sentences.headline(now, words)
    rows = [["", *sheet.columns[1:]], *([said(cell, words) for cell in row.cells] for row in sheet.rows)]
    width = max(30, *(len(row[0]) + 1 for row in rows))
    figures = "".join(f"{row[0]:{width}}{''.join(f'{cell.removeprefix(chr(62)):>20}' for cell in row[1:])}\n" for row in rows)
    attached = words("The page with all tables and charts is attached.")
    notice = Notice(
        f"[visitas] {month_name(now.month.first, words)}: {said_first}",
        "\n".join([*sentences_of(now, words, settings), "", attached, "", figures]),
        render(now, settings, {}, words),
        "",
        page,
    )
    try:
        channels.send_mail(notice, settings)
    except Unreached as error:
        fact = f"the monthly report was not mailed: {error}."
        raise StageError(Status.SETTINGS, fact, "make check tries the mail server.") from error


def parse_month(text: str) -> Month:
    """Return the month that the command line names."""
    try:
        month = Month.parse(text)
        _ = month.later(-YEAR).first, month.later(1).first  # raises ValueError at either end of the calendar
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no month; write it as 2013-02") from error
    return month


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--month", type=parse_month, metavar="YYYY-MM", help="the month to report (default: last month)")
    parser.add_argument("--mail", action="store_true", help="send the monthly report to MAIL_TO")
    parser.add_argument("--csv", action="store_true", help="write the tables as CSV files, too")
    parsed = parser.parse_args()
    run_plain_command("report", lambda: main(parsed))

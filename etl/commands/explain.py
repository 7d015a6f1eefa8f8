"""Explain a visitor's counters, or what became of one line of a report."""

import hashlib
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from psycopg2.extensions import cursor

from backup.zips import DAMAGE
from base import settings as every_setting
from base.fate import Fate
from base.masking import printable
from base.settings import Settings
from base.trouble import Status
from commands.console import add_row, console, show, table
from parsing.columns import COLUMNS, is_record, parse_email
from parsing.faults import Code
from parsing.lines import read_lines
from postgres.database import Database, one, query, rows
from runtime.script import command_line, run_plain_command

LISTED = 1000  # visits of one address
COUNTERS = ("fecha_primera_visita", "fecha_ultima_visita", "visitas_totales", "visitas_anio_actual", "visitas_mes_actual")


class Visit(NamedTuple):
    """One line of an address."""

    when: datetime | None  # None: it lacks the date that makes a visit
    report: str
    line_number: int
    archive_name: str | None  # None: no zip yet


class Delivery(NamedTuple):
    """One report of the name that is asked about."""

    file_id: int
    sha256: str
    status: str
    decided: datetime  # local
    rows_read: int
    archive_name: str | None  # None: no zip yet
    original: str | None  # name of the loaded report with the same bytes; None if it is no duplicate


class Received(NamedTuple):
    """A line as it came."""

    line: bytes | None  # None: the report was not found, or is shorter
    place: str | None  # where the report was found; None: nowhere
    trouble: str = ""  # with a place that was looked at


def main(arguments: Namespace) -> Status:
    """Explain what the command line asks for."""
    settings = every_setting.load(Settings)
    database = Database(settings)
    if arguments.email:
        status = database.run(explain_visitor, arguments.email, settings)
    else:
        status = database.run(explain_line, arguments.file, arguments.line, settings)
    database.close()
    return status


def explain_visitor(cursor: cursor, given: str, settings: Settings) -> Status:
    """Print a visitor's counters beside a recount, and every visit that they count; REFUSED if they differ."""
    cursor.execute(query("commands/read_only"))
    screen = console()
    parsed = parse_email(given.strip())
    email = given if isinstance(parsed, Code) or parsed is None else parsed
    found = one(cursor, "commands/explain_visitor", {"email": email})
    visits = [Visit(*row) for row in rows(cursor, "commands/explain_visits", {"email": email})]
    if found is None or (found[2] is None and not visits):
        screen.print(f"No line of {email} has been loaded. Hint: a rejected line is in errors.")
        return Status.DONE
    *row, as_of, event = found
    counted = recount(visits, as_of)
    stored = dict(zip(COUNTERS, row, strict=True))
    made = table(f"{email}: visits by fecha_{event}, as of {as_of}", "counter", ">visitor", ">recount", "")
    for name in COUNTERS:
        add_row(made, name, stored[name], counted[name], "" if stored[name] == counted[name] else "DIFFERENT")
    show(screen, made)
    screen.print()
    made = table("Made by", "visit", "counts in", "report", ">line", "zip")
    for visit in visits[:LISTED]:
        add_row(made, visit.when or "no visit", marks(visit, as_of), visit.report, visit.line_number, visit.archive_name)
    show(screen, made)
    if len(visits) > LISTED:
        screen.print(f"and {len(visits) - LISTED:,} more, see statistics")
    if stored == counted:
        return Status.DONE
    screen.print("The row and the recount differ. Hint: another VISIT_EVENT for one night recounts every visitor.")
    return Status.REFUSED


def recount(visits: list[Visit], as_of: date) -> dict[str, Any]:
    """Return the counters as the lines give them; all None without a visit."""
    when = [visit.when for visit in visits if visit.when]
    if not when:
        return dict.fromkeys(COUNTERS)
    of_year = [one for one in when if one.year == as_of.year]
    of_month = [one for one in of_year if one.month == as_of.month]
    return dict(zip(COUNTERS, (min(when), max(when), len(when), len(of_year), len(of_month)), strict=True))


def marks(visit: Visit, as_of: date) -> str:
    """Return the counters that a visit is in."""
    if visit.when is None:
        return ""
    of_year = visit.when.year == as_of.year
    return "total" + (", year" if of_year else "") + (", month" if of_year and visit.when.month == as_of.month else "")


def explain_line(cursor: cursor, name: str, number: int, settings: Settings) -> Status:
    """Print what became of a line in each report of that name; REFUSED if there is no such report or line."""
    cursor.execute(query("commands/read_only"))
    asked = {"name": name, "timezone": settings.timezone}
    deliveries = [Delivery(*row) for row in rows(cursor, "commands/explain_deliveries", asked)]
    screen = console()
    if not deliveries:
        screen.print(f"The load log does not know {name}.")
        return Status.REFUSED
    is_there = False
    for delivery in deliveries:
        row, rejection = one(cursor, "commands/explain_line", {"file_id": delivery.file_id, "line_number": number})
        received = receive(delivery, name, number, settings)
        screen.print(f"{name} of {delivery.decided}: {delivery.status}, {delivery.rows_read:,} lines read", style="bold")
        screen.print(fate(delivery, number, received, row, rejection), soft_wrap=True)
        if received.line is not None:
            text = printable(received.line.decode(errors="backslashreplace"))
            screen.print(f"As received ({received.place}):\n{text}", soft_wrap=True)
        if row:
            made = table("", "column", "stored as")
            for column in COLUMNS:
                add_row(made, column.name, row[column.name])
            show(screen, made)
        screen.print()
        is_there = is_there or received.line is not None or bool(row or rejection)
    return Status.DONE if is_there else Status.REFUSED


def fate(delivery: Delivery, number: int, received: Received, row: object, rejection: str | None) -> str:
    """Return what became of a line, and why, in a sentence."""
    line = received.line
    reasons = (
        (row, "is loaded."),
        (rejection and number == 1, f"stands for the whole report, which is {delivery.status}: {rejection}."),
        (rejection, f"is rejected: {rejection}."),
        (line is None and received.place, f"does not exist: the report in {received.place} is shorter."),
        (delivery.original, f"was not loaded again: {delivery.original} has the same bytes. Ask for that report's line."),
        (number == 1, "is the header."),
        (line is None, f"is not known: the report is neither in a zip in BACKUP_DIR nor in WORK_DIR{received.trouble}."),
        (not is_record(line or b""), "is blank: no record, and not counted."),
        (delivery.status == Fate.REFUSED, "was not read: the whole report is refused, see its line 1."),
        (delivery.status == Fate.LOADED, "is neither in statistics nor in errors: somebody has deleted it."),
        (True, f"has no fault, but the whole report is {delivery.status}: see its line 1."),
    )
    return f"Line {number} " + next(sentence for holds, sentence in reasons if holds)


def receive(delivery: Delivery, name: str, number: int, settings: Settings) -> Received:
    """Return the line as it came: from the report's zip, or from the work directory."""
    trouble = ""
    for path in (*([settings.backup_dir / delivery.archive_name] if delivery.archive_name else []), settings.work_dir / name):
        try:
            with opened(path, name, delivery) as report:
                return Received(next(islice(read_lines(report), number - 1, None), None), str(path))
        except FileNotFoundError:
            continue
        except (*DAMAGE, KeyError) as error:
            trouble = f"; {path} cannot be read: {error}"
    return Received(None, None, trouble)


@contextmanager
def opened(path: Path, name: str, delivery: Delivery) -> Iterator[IO[bytes]]:
    """Open the report in its zip, or in the work directory if it is the very one."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            yield member
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != delivery.sha256:
            raise FileNotFoundError
        file.seek(0)
        yield file


if __name__ == "__main__":
    parser = command_line()
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--email", metavar="ADDRESS", help="explain the counters of this visitor")
    asked.add_argument("--file", metavar="NAME", help="explain a line of the reports of this name; needs --line")
    parser.add_argument("--line", type=int, metavar="N", help="physical line in the report; the header is line 1")
    parsed = parser.parse_args()
    if parsed.file and not (parsed.line and parsed.line > 0):
        parser.error("--file needs --line, 1 or more")
    run_plain_command("explain", lambda: main(parsed))

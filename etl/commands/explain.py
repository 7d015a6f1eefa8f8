"""Explain a visitor's counters, or what became of one line of a report."""

import hashlib
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from psycopg2.extensions import cursor
from rich.console import Console

from backup.encryption import read_identities
from backup.zips import DAMAGE, open_zip
from base import settings as every_setting
from base.counting import count_of
from base.fate import Fate
from base.settings import Settings
from base.trouble import StageError, Status
from commands.console import add_row, console, show, shown, table
from parsing.columns import COLUMNS, is_record, parse_email
from parsing.faults import Code
from parsing.lines import read_lines
from postgres.database import Database
from postgres.statements import one, query, rows
from runtime.script import command_line, run_plain_command, some_text
from spark import session

LISTED = 1000  # lines of one address that are shown
COUNTERS = ("fecha_primera_visita", "fecha_ultima_visita", "visitas_totales", "visitas_anio_actual", "visitas_mes_actual")


class LoadedLine(NamedTuple):
    """A loaded line of the address that is explained."""

    when: datetime | None  # date of the visit; None: the line is no visit
    report: str
    line_number: int
    archive_name: str | None  # None: not in a zip yet


class Delivery(NamedTuple):
    """A report with the name that is asked about; a sender may use a name twice."""

    file_id: int
    sha256: str
    status: str  # its fate
    decided: datetime  # local
    rows_read: int
    archive_name: str | None  # None: not in a zip yet
    original: str | None  # for a duplicate: name of the loaded report with the same bytes
    changes: str | None  # what people changed, who, and when


class KnownLine(NamedTuple):
    """A line in the tables."""

    row: dict[str, Any] | None  # as it is loaded
    rejection: str | None  # codes and message
    is_corrected: bool  # it was rejected, and somebody corrected it
    is_erased: bool  # it was of somebody who was forgotten


class ReceivedLine(NamedTuple):
    """A line as received, and where it was found."""

    line: bytes | None  # None: the report was not found, or has fewer lines
    place: str | None  # the zip or file that holds the report; None: not found
    trouble: str = ""  # a zip or file that could not be read, and why


def main(arguments: Namespace) -> Status:
    """Explain the visitor or the line that the command line names."""
    settings = every_setting.load(Settings)
    database = Database(settings)
    if settings.engine == "spark":
        show_lake(database, arguments, settings)
    if arguments.email:
        status = database.run(explain_visitor, arguments.email, settings)
    else:
        status = database.run(explain_line, arguments.file, arguments.line, settings)
    database.close()
    return status


def explain_visitor(cursor: cursor, address: str, settings: Settings) -> Status:
    """Print a visitor's counters, their recount, and the visitor's lines; return REFUSED if a counter differs."""
    cursor.execute(query("commands/read_only"))
    screen = console()
    email = normalize(address)
    found = one(cursor, "commands/explain_visitor", {"email": email})
    lines = [LoadedLine(*row) for row in rows(cursor, "commands/explain_visits", {"email": email})]
    if found is None or (found[2] is None and not lines):
        screen.print(f"No line of {shown(email)} has been loaded. Hint: rejected lines are in the table errors.")
        return Status.DONE
    *row, as_of, event = found
    counted = recount(lines, as_of)
    stored = dict(zip(COUNTERS, row, strict=True))
    made = table(f"{shown(email)}: visits by fecha_{event}, as of {as_of}", "counter", ">visitor", ">recount", "")
    for name in COUNTERS:
        add_row(made, name, stored[name], counted[name], "" if stored[name] == counted[name] else "DIFFERENT")
    show(screen, made)
    screen.print()
    made = table("Lines of this address", "visit", "counts in", "report", ">line", "zip")
    for line in lines[:LISTED]:
        add_row(made, line.when or "no visit", counters_of(line, as_of), line.report, line.line_number, line.archive_name)
    show(screen, made)
    if len(lines) > LISTED:
        screen.print(f"and {len(lines) - LISTED:,} more in the table statistics")
    if stored == counted:
        return Status.DONE
    screen.print("The row and the recount differ. Hint: change VISIT_EVENT for one night, and every visitor is recounted.")
    return Status.REFUSED


def normalize(address: str) -> str:
    """Return an address as the tables have it; what is no address stays as it is."""
    parsed = parse_email(address.strip())
    return address if isinstance(parsed, Code) else parsed


def show_lake(database: Database, arguments: Namespace, settings: Settings) -> None:
    """Have the session of the database see what the lake has of the visitor or the line."""
    session.verify(settings)
    from spark import reading  # noqa: PLC0415 - needs packages that ENGINE=postgres does not

    if arguments.email:
        wanted = reading.of_address(normalize(arguments.email))
    else:
        asked = {"name": arguments.file, "timezone": settings.timezone}
        ids = [file_id for file_id, *_ in database.run(rows, "commands/explain_deliveries", asked)]
        wanted = reading.of_line(ids, arguments.line)
    database.run(reading.show_in_session, settings, wanted)


def recount(lines: list[LoadedLine], as_of: date) -> dict[str, Any]:
    """Return the counters of COUNTERS, counted from the lines; all None if no line is a visit."""
    when = [line.when for line in lines if line.when]
    if not when:
        return dict.fromkeys(COUNTERS)
    of_year = [moment for moment in when if moment.year == as_of.year]
    of_month = [moment for moment in of_year if moment.month == as_of.month]
    return dict(zip(COUNTERS, (min(when), max(when), len(when), len(of_year), len(of_month)), strict=True))


def counters_of(line: LoadedLine, as_of: date) -> str:
    """Return the counters that count the line: ``total``, ``total, year`` or ``total, year, month``; empty if none does."""
    if line.when is None:
        return ""
    of_year = line.when.year == as_of.year
    return "total" + (", year" if of_year else "") + (", month" if of_year and line.when.month == as_of.month else "")


def explain_line(cursor: cursor, name: str, number: int, settings: Settings) -> Status:
    """Print what became of a line in each report of that name; return REFUSED if no such report or line is known."""
    cursor.execute(query("commands/read_only"))
    asked = {"name": name, "timezone": settings.timezone}
    deliveries = [Delivery(*row) for row in rows(cursor, "commands/explain_deliveries", asked)]
    screen = console()
    if not deliveries:
        screen.print(f"The load log does not know {shown(name)}.")
        return Status.REFUSED
    is_there = False
    for delivery in deliveries:
        known = KnownLine(*one(cursor, "commands/explain_line", {"file_id": delivery.file_id, "line_number": number}))
        # What a zip still holds of somebody who was forgotten is shown to nobody.
        received = ReceivedLine(None, None) if known.is_erased else find_line(delivery, name, number, settings)
        decided = f"{shown(name)} of {delivery.decided} in {settings.timezone}"
        screen.print(f"{decided}: {delivery.status}, {count_of(delivery.rows_read, 'line')} read", style="bold", soft_wrap=True)
        if delivery.changes:
            screen.print(shown(f"Changes: {delivery.changes}."), soft_wrap=True)
        screen.print(shown(outcome(delivery, number, received, known)), soft_wrap=True)
        show_line(screen, received, known.row)
        is_there = is_there or received.line is not None or any(known)
    return Status.DONE if is_there else Status.REFUSED


def show_line(screen: Console, received: ReceivedLine, row: dict[str, Any] | None) -> None:
    """Print a line as received, and as it is stored."""
    if received.line is not None:
        text = shown(received.line.decode(errors="backslashreplace"))
        screen.print(f"As received ({received.place}):\n{text}", soft_wrap=True)
    if row:
        made = table("", "column", "stored as")
        for column in COLUMNS:
            add_row(made, column.name, row[column.name])
        show(screen, made)
    screen.print()


def outcome(delivery: Delivery, number: int, received: ReceivedLine, known: KnownLine) -> str:
    """Return a sentence that says what became of a line, and why; the first reason that holds is the answer."""
    line, rejection = received.line, known.rejection and without_codes(known.rejection)
    reasons = (
        (known.row and known.is_corrected, "is loaded as somebody corrected it."),
        (known.row, "is loaded."),
        (rejection and number == 1, f"stands for the whole report, which is {delivery.status}: {rejection}."),
        (rejection, f"is rejected: {rejection}."),
        (known.is_erased, "is of somebody who was forgotten."),
        (line is None and received.place, f"does not exist: the report in {received.place} is shorter."),
        (delivery.original, f"was not loaded again: {delivery.original} has the same bytes. Ask for that report's line."),
        (number == 1, "is the header."),
        (line is None, f"is not known: the report is neither in a zip in BACKUP_DIR nor in WORK_DIR{received.trouble}."),
        (not is_record(line or b""), "is blank: no record, and not counted."),
        (
            delivery.status == Fate.UNDONE,
            f"is not loaded: the report is undone. make reload ID={delivery.file_id} loads it again.",
        ),
        (delivery.status == Fate.REFUSED, "was not read: the whole report is refused, see its line 1."),
        (delivery.status == Fate.LOADED, "is neither in statistics nor in errors: somebody has deleted it."),
        (True, f"has no fault, but the whole report is {delivery.status}: see its line 1."),
    )
    return f"Line {number} " + next(sentence for holds, sentence in reasons if holds)


def without_codes(rejection: str) -> str:
    """Return the message of ``codes: message``, which names each code again; all of it if the message names none."""
    codes, _, message = rejection.partition(": ")
    return message if message.startswith(codes.partition(",")[0]) else rejection


def find_line(delivery: Delivery, name: str, number: int, settings: Settings) -> ReceivedLine:
    """Return the line as received, from the report's zip or from the work directory."""
    trouble = ""
    for path in (*([settings.backup_dir / delivery.archive_name] if delivery.archive_name else []), settings.work_dir / name):
        try:
            with open_report(path, name, delivery, settings) as report:
                return ReceivedLine(next(islice(read_lines(report), number - 1, None), None), str(path))
        except FileNotFoundError:
            continue
        except (*DAMAGE, KeyError) as error:
            trouble = f"; {path} cannot be read: {error}"
        except StageError as error:  # encrypted, and not to be opened here
            trouble = f"; {error.args[1].rstrip('.')}"
    return ReceivedLine(None, None, trouble)


@contextmanager
def open_report(path: Path, name: str, delivery: Delivery, settings: Settings) -> Iterator[IO[bytes]]:
    """Open the report in a zip, or in the work directory; raise FileNotFoundError if a file there has other bytes."""
    if path.name == delivery.archive_name:
        with open_zip(path, read_identities(settings)) as archive, archive.open(name) as member:
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
    asked.add_argument("--email", type=some_text, metavar="ADDRESS", help="explain the counters of this visitor")
    asked.add_argument("--file", type=some_text, metavar="NAME", help="explain a line of the reports of this name; needs --line")
    parser.add_argument("--line", type=int, metavar="N", help="number of the line in the report; the header is line 1")
    parsed = parser.parse_args()
    if parsed.file and not (parsed.line and parsed.line > 0):
        parser.error("--file needs --line, 1 or more")
    run_plain_command("explain", lambda: main(parsed))

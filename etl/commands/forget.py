"""Erase a person: every line of an address, wherever it is kept. Shows what changes and asks first."""

import shutil
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from psycopg2.extensions import cursor

from backup.taking_out import take_out
from base.counting import count_of
from base.fate import Fate
from base.masking import mask
from base.run import Run
from base.settings import Settings
from base.workdir import report_names
from commands.asking import add_yes
from commands.changing import is_agreed, mails, nothing, preview
from commands.console import say, shown
from parsing.columns import parse_email
from parsing.faults import Code, storable
from parsing.lines import read_lines
from parsing.mentions import lines_about, mentions
from postgres import changes
from postgres.changes import Counts, Moved
from postgres.database import Database
from postgres.ledger import Basis
from postgres.statements import one, query, rows
from runtime.script import command_line, run_change, some_text

LEFT = ("*.rejects.csv*", ".*.rejects.csv.part", "report-*.html", "report-*.csv")  # what commands leave in LOG_DIR

Place = tuple[str, int]  # SHA-256 of a report, line number


def main(arguments: Namespace, settings: Settings, _: Run) -> None:
    """Forget the address that the command line names. What is shown is the change itself, before it is committed."""
    email = read_address(arguments.email, settings)
    database = Database(settings)
    with database.transaction() as cursor:
        basis = changes.lock(cursor)
        before = mails(cursor)
        places, files = find_places(cursor, email, settings), find_left(email, settings.log_dir)
        if not basis or not (places or files):
            raise nothing(f"no line of {mask(email)} is known; nothing was changed.", "it is looked for as a whole.")
        sentences, moved = erase(cursor, email, places, basis)
        sentences += [f"{path} holds the address, and is deleted." for path in files]
        preview(sentences, moved, before, mails(cursor))
        held = list(zips_holding(cursor, places, settings)) or ["No zip holds such a line."]
        is_wanted = is_agreed(cursor, f"Forget {mask(email)} for good?", arguments.yes)
        if is_wanted:
            clean(files, settings.work_dir)  # before the commit: a kill in between costs a file that can be written anew
    database.close()
    if is_wanted:
        say(f"{mask(email)} is forgotten.", *held)


def read_address(typed: str, settings: Settings) -> str:
    """Return the normalized address that somebody typed; raise StageError if it is none, or cannot be forgotten now."""
    email = parse_email(typed.strip())
    if isinstance(email, Code):
        raise nothing("that is no e-mail address; nothing was changed.", "type the whole address, as EMAIL=ana@example.com.")
    if waiting := list(report_names(settings.work_dir, settings.report_pattern)):
        fact = f"{count_of(len(waiting), 'report')} in WORK_DIR may hold that address; nothing was changed."
        raise nothing(fact, "bash etl/etl.sh finishes what waits there.")
    return email


def find_places(cursor: cursor, email: str, settings: Settings) -> set[Place]:
    """Return the lines of the address, in the database and in zips that could be loaded again; no load takes them any more."""
    found: set[Place] = set(rows(cursor, "changes/email_loaded", {"email": email}))
    rejected = rows(cursor, "changes/email_rejected", {"email": email})
    found |= {(sha256, number) for sha256, number, raw_line in rejected if mentions(raw_line, email)}
    in_zips: set[Place] = set()
    for sha256, name, archive_name in rows(cursor, "changes/files_in_zips"):
        with tempfile.TemporaryFile() as report:
            take_out(settings, archive_name, name, sha256, report)
            report.seek(0)
            in_zips |= {(sha256, number) for number in lines_about(report, email)}
    sha256s, line_numbers = zip(*found | in_zips, strict=True) if found | in_zips else ((), ())
    new = set(rows(cursor, "changes/erase", {"sha256s": list(sha256s), "line_numbers": list(line_numbers)}))
    return found | new


def find_left(email: str, folder: Path) -> list[Path]:
    """Return the files of LOG_DIR that hold the address, of those that commands write."""
    paths = [path for path in sorted(folder.iterdir()) if any(fnmatchcase(path.name, form) for form in LEFT)]
    return [path for path in paths if path.is_file() and any(mentions(text, email) for text in texts(path))]


def texts(path: Path) -> Iterator[str]:
    """Yield the lines of a text file."""
    with path.open("rb") as file:
        yield from map(storable, read_lines(file))


def erase(cursor: cursor, email: str, places: set[Place], basis: Basis) -> tuple[list[str], Moved]:
    """Erase the lines and the visitor; return what is erased in which report, and how many visitors go."""
    cursor.execute(query("changes/visitor_erase"), {"email": email})
    moved = Moved(cursor.rowcount, 0, 0)
    lines: dict[str, list[int]] = {}
    for sha256, number in sorted(places):
        lines.setdefault(sha256, []).append(number)
    sentences = []
    for file_id, name, sha256, status in rows(cursor, "changes/files_with", {"sha256s": list(lines)}):
        of_file = lines[sha256]
        sentences.append(f"{shown(name)} (ID {file_id}), {status}: {count_of(len(of_file), 'line')} erased.")
        changes.enter(cursor, "forget", file_id, len(of_file))
        values = {"file_id": file_id, "line_numbers": of_file, "email": email}
        loaded, rejected = one(cursor, "changes/lines_erase", values)
        if status == Fate.QUARANTINED:  # its good lines are in no table, and count as rejected
            rejected = sum(number > 1 for number in of_file)
        if loaded or rejected:
            changes.count(cursor, file_id, basis, Counts(-loaded, -rejected))
    cursor.execute(query("changes/samples"))
    return sentences, moved


def zips_holding(cursor: cursor, places: set[Place], settings: Settings) -> Iterator[str]:
    """Yield which zips still hold the lines, and until when."""
    values = {"sha256s": list({sha256 for sha256, _ in places}), "timezone": settings.timezone}
    for name, day in rows(cursor, "changes/zips_holding", values):
        days = settings.backup_keep_days
        until = f"until {day + timedelta(days=days)}" if days is not None else "for ever: BACKUP_KEEP_DAYS is not set"
        yield f"{name} still holds such a line as it was received, {until}."


def clean(files: list[Path], work_dir: Path) -> None:
    """Delete these files, and what a killed run may have left in WORK_DIR: no report waits there."""
    for path in files:
        path.unlink(missing_ok=True)
    shutil.rmtree(work_dir / "reload", ignore_errors=True)
    for path in (*work_dir.glob(".*.part"), *work_dir.glob("staged/*"), *work_dir.glob("staged/.*")):
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--email", type=some_text, required=True, metavar="ADDRESS", help="the address to forget")
    add_yes(parser)
    parsed = parser.parse_args()
    run_change("forget", lambda settings, run: main(parsed, settings, run))

"""Load the lines that were corrected in a rejects file. Shows what changes and asks first."""

import csv
from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import cursor

from base.counting import count_of
from base.fate import Fate
from base.run import Run
from base.settings import Settings
from base.trouble import StageError
from commands.asking import add_yes
from commands.changing import ID_LIMIT, choose, is_agreed, mails, nothing, preview
from commands.console import say, shown
from parsing.columns import Visit, parse_line
from parsing.faults import Code, Fault, message
from postgres import changes
from postgres.changes import Counts, Moved
from postgres.database import Database
from postgres.diagnosis import sentence
from postgres.insertion import is_about_row
from postgres.ledger import Basis
from postgres.statements import query, rows
from runtime.script import command_line, run_change, some_text

COLUMNS = ["file_id", "line_number", "codes", "message", "raw_line"]
PIECE = 10_000  # lines that are compared with errors at a time


class Line(NamedTuple):
    """A line of a rejects file."""

    file_id: int
    number: int
    raw: str  # as it stands there now


def main(arguments: Namespace, settings: Settings, _: Run) -> None:
    """Replay the rejects file that the command line names. What is shown is the change itself, before it is committed."""
    path = Path(arguments.rejects)
    lines = read_rejects(path)
    first = next(lines, None)
    if first is None:
        raise unusable(path, "it holds no line")
    database = Database(settings)
    with database.transaction() as cursor:
        basis = changes.lock(cursor)
        file = choose(cursor, Namespace(id=first.file_id, file=None), [Fate.LOADED], settings)
        assert basis  # the load has set it
        before = mails(cursor)
        replay = Replay(cursor, file.file_id, basis)
        replay.take(chain([first], lines), path)
        loaded = count_of(len(replay.numbers), "corrected line")
        if not replay.numbers:
            raise nothing("no rejected line was corrected; nothing was changed.", f"make rejects ID={file.file_id}")
        preview([f"{file}: {loaded} to be loaded."], replay.settle(), before, mails(cursor))
        is_wanted = is_agreed(cursor, f"Load {loaded} of {file}?", arguments.yes)
    database.close()
    if is_wanted:
        say(f"{file}: {loaded} loaded.")


def read_rejects(path: Path) -> Iterator[Line]:
    """Yield the lines of a rejects file; raise StageError if it cannot be read as one, or has a line twice, or of two reports."""
    seen: set[tuple[int, int]] = set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            if next(reader, None) != COLUMNS:
                raise unusable(path, f"its first line is not {','.join(COLUMNS)}")
            for row in filter(None, reader):
                numbers = row[:2]
                if len(row) != len(COLUMNS) or not all(text.isdecimal() and int(text) <= ID_LIMIT for text in numbers):
                    raise unusable(path, f"its line {reader.line_num} is not a line of a rejects file")
                line = Line(int(row[0]), int(row[1]), row[-1])
                if line[:2] in seen:
                    raise unusable(path, f"line {line.number} of the report stands there twice")
                seen.add(line[:2])
                yield line
    except OSError as error:
        raise unusable(path, str(error.strerror)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        why = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {error}"
        raise unusable(path, f"after line {reader.line_num} it {why}") from error


def unusable(path: Path, why: str) -> StageError:
    """Return the trouble of a rejects file that is edited beyond use."""
    return nothing(f"{shown(str(path))} cannot be replayed: {why}.", "nothing was changed; make rejects writes the file anew.")


class Replay:
    """The corrected lines of one report on their way from errors to statistics."""

    def __init__(self, cursor: cursor, file_id: int, basis: Basis) -> None:
        self.cursor = cursor
        self.file_id = file_id
        self.basis = basis
        self.numbers: list[int] = []  # the lines that were moved
        self.visitors: dict[str, bool] = {}  # address of each visitor with other counts: whether the visitor is new

    def take(self, lines: Iterable[Line], path: Path) -> None:
        """Move every line that was corrected; print every other, with the reason why it stays."""
        lines = iter(lines)
        while piece := list(islice(lines, PIECE)):
            if any(line.file_id != self.file_id for line in piece):
                raise unusable(path, "it has lines of two reports")
            values = {"file_id": self.file_id, "line_numbers": [line.number for line in piece]}
            known = {number: kept for number, *kept in rows(self.cursor, "changes/rejected", values)}
            if strange := [line.number for line in piece if line.number not in known]:
                raise unusable(path, f"line {strange[0]} of the report is not a rejected line")
            for line in piece:
                if why := self.try_line(line, *known[line.number]):
                    say(f"Line {line.number} stays rejected: {why}" if known[line.number][0] else f"Line {line.number} {why}")

    def try_line(self, line: Line, why: str | None, raw: str | None) -> str | None:
        """Move a line if it was corrected; return the reason why not, None if it was moved."""
        if raw is None:
            return "was corrected and loaded before."
        if line.raw == raw:
            return f"not changed. {why}"
        visit = parse_line(line.raw.encode())
        if not isinstance(visit, Visit):
            return message(visit)
        try:
            self.cursor.execute("savepoint line")
            self.move(line.number, visit)
            self.cursor.execute("release savepoint line")
        except psycopg2.Error as error:
            if not is_about_row(error):
                raise
            self.cursor.execute("rollback to savepoint line; release savepoint line")
            return str(Fault(Code.LOAD_REFUSED, value=sentence(error)))
        return None

    def move(self, number: int, visit: Visit) -> None:
        """Move a line and count its visit."""
        stored = {column: value or None for column, value in visit._asdict().items()}
        self.cursor.execute(query("changes/line_replay"), stored | {"file_id": self.file_id, "line_number": number})
        moved = changes.recount(self.cursor, self.file_id, self.basis, [number])
        if moved.new or moved.changed:
            self.visitors[visit.email] = self.visitors.get(visit.email, False) or bool(moved.new)
        self.numbers.append(number)

    def settle(self) -> Moved:
        """Enter the change, and bring the counts of the report and its sums up to date."""
        changes.enter(self.cursor, "replay", self.file_id, len(self.numbers))
        new = sum(self.visitors.values())
        count = len(self.numbers)
        changes.count(self.cursor, self.file_id, self.basis, Counts(count, -count, new))
        return Moved(0, len(self.visitors) - new, new)


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--rejects", type=some_text, required=True, metavar="PATH", help="the file that make rejects wrote")
    add_yes(parser)
    parsed = parser.parse_args()
    run_change("replay", lambda settings, run: main(parsed, settings, run))

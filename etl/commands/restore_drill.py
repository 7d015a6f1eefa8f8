"""Check that the backups can be restored. Loads every zip into a scratch database, then compares scratch and live database."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from secrets import token_hex
from signal import SIGINT
from typing import Any

from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import cursor, make_dsn
from pydantic import SecretStr
from pyrage.x25519 import Identity
from tqdm import tqdm

from backup.encryption import read_identities
from backup.zips import flaws, open_zip
from base.counting import count_of
from base.files import temporary_folder
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from commands.console import say
from load import load_reports
from postgres import ledger
from postgres.database import HISTORY_LIMIT, Database
from postgres.ledger import Entry
from postgres.migrations import migrate
from postgres.statements import one, query, rows
from runtime.script import run_command, take_back_on
from spark import session
from transform import stage_report


def main(live: Settings) -> Status:
    """Restore into a scratch database, compare, and drop that database; return DISK if the two databases differ."""
    take_back_on(SIGINT)
    identities = read_identities(live)
    database = Database(live, HISTORY_LIMIT)
    if live.engine == "spark":
        show_lake(database, live)
    entries = database.run(ledger.archived_entries)
    zips = [known for known in database.run(ledger.zips) if known.name in entries]
    kept = {known.name: entries[known.name] for known in zips if not known.is_pruned}
    loaded = set(database.run(rows, "commands/drill_loaded"))
    pruned = [place for place in loaded if place[0] not in kept]
    as_of, visit_event = database.run(one, "load/basis") or (live.as_of, live.visit_event)
    for flaw in chain.from_iterable(
        flaws(live.backup_dir / known.name, known.stamp, kept[known.name], identities) for known in zips if not known.is_pruned
    ):
        database.close()
        raise StageError(Status.DISK, f"a backup has a flaw: {flaw}.", "make verify-backups lists every flaw.")
    with scratch_database(database, live) as address, temporary_folder() as folder:
        scratch = live.model_copy(
            update={
                "database_url": address,
                "work_dir": folder / "work",
                "as_of": as_of,
                "visit_event": visit_event,
                "max_error_rate": 1.0,
                "on_reused_name": "keep",
            }
        )
        counting = {name: [entry for entry in kept[name] if (name, entry.name) in loaded] for name in kept}
        restored = restore(counting, scratch, database, identities)
    status = compare(database.run(contents), restored)
    database.close()
    if pruned:
        say(f"{count_of(len(pruned), 'file')} not compared: the zips are pruned, as BACKUP_KEEP_DAYS asks.")
    return status


def show_lake(database: Database, live: Settings) -> None:
    """Have the session of the live database see what the lake has, where its own tables are."""
    session.verify(live)
    from spark import reading  # noqa: PLC0415 - needs packages that ENGINE=postgres does not

    database.run(reading.show_in_session, live, reading.EVERYTHING)


@contextmanager
def scratch_database(database: Database, live: Settings) -> Iterator[SecretStr]:
    """Give the address of a new database, dropped at the end; its tables come into a schema that is open to nobody else.

    Those of killed drills are dropped first: the lock that a drill holds in the live database goes with the drill.
    """
    for (left,) in database.run(rows, "commands/drill_left"):
        database.command(f"drop database {left} with (force)")
        say(f"A killed drill had left the database {left}: it is dropped.")
    name = f"visitas_drill_{token_hex(4)}"
    database.run(one, "commands/drill_lock", {"name": name})
    try:
        create(database, name)
        database.command(f"alter database {name} set search_path = visitas")
        address = SecretStr(make_dsn(live.postgres_address(), dbname=name))
        with closing(Database(live.model_copy(update={"database_url": address}))) as scratch, scratch.transaction() as cursor:
            cursor.execute("create schema visitas")
        yield address
    finally:
        database.command(f"drop database if exists {name} with (force)")


def create(database: Database, name: str) -> None:
    """Create a database; raise StageError if the role may not."""
    try:
        database.command(f"create database {name}")
    except StageError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise
        hint = "let the administrator run: alter role ... createdb; or name such a role: DATABASE_URL=... make restore-drill"
        raise StageError(Status.POSTGRES, "this role may not create the scratch database of the drill.", hint) from error


def restore(zips: dict[str, list[Entry]], scratch: Settings, live: Database, identities: Sequence[Identity]) -> dict[str, Any]:
    """Load the zips into the scratch database and return its ``contents``.

    Lines whose zips are pruned come from the live database, because its visitors count them.
    """
    migrate(scratch)
    database, work = Database(scratch), WorkDir(scratch)
    database.run(pass_over, live.run(rows, "commands/drill_erased"))
    run = Run.current("restore_drill")
    for name, entries in tqdm(zips.items(), unit="zip", disable=None):
        with open_zip(scratch.backup_dir / name, identities) as archive:
            for entry in entries:
                report = work.report(entry.name)
                with archive.open(entry.name) as member, report.path.open("wb") as file:
                    shutil.copyfileobj(member, file)
                os.utime(report.path, (entry.mtime, entry.mtime))
                stage_report(report)
        if status := load_reports(work.reports(), run, scratch):
            raise StageError(status, f"{name} cannot be restored.", "the lines above say why.")
        for report in work.reports():
            report.remove()
    has_more = copy_pruned(live, database)
    database.run(follow, live, scratch, has_more)
    restored = database.run(contents)
    database.close()
    return restored


def pass_over(cursor: cursor, erased: list[Any]) -> None:
    """Have the loads pass over the lines of people who were forgotten, given as (SHA-256, line number)."""
    sha256s, line_numbers = [sha256 for sha256, _ in erased], [number for _, number in erased]
    cursor.execute(query("changes/erase"), {"sha256s": sha256s, "line_numbers": line_numbers})


def copy_pruned(live: Database, scratch: Database) -> bool:
    """Copy the lines whose zips are pruned to the scratch database; return whether there are any."""
    with tempfile.TemporaryFile() as lines:
        with live.transaction() as cursor:
            cursor.copy_expert(query("commands/drill_pruned"), lines)
        lines.seek(0)
        with scratch.transaction() as cursor:
            cursor.copy_expert(query("commands/drill_keep"), lines)
            return cursor.rowcount > 0


def follow(cursor: cursor, live: Database, scratch: Settings, has_more: bool) -> None:
    """Do with single lines what was done with them in the live database; recount the visitors if there are any, or ``has_more``.

    The scratch database may accept lines that the live Postgres refused: these are deleted. Lines that somebody corrected are
    copied.
    """
    refused, corrected = live.run(rows, "commands/drill_refused"), live.run(rows, "commands/drill_corrected")
    for sha256, line_number in refused:
        cursor.execute(query("commands/drill_forget"), {"sha256": sha256, "line_number": line_number})
    for sha256, row in corrected:
        cursor.execute(query("commands/drill_correct"), {"sha256": sha256, "row": json.dumps(row)})
    if refused or corrected or has_more:
        cursor.execute(query("load/visitor_recount"), {"as_of": scratch.as_of, "visit_event": scratch.visit_event})


def contents(cursor: cursor) -> dict[str, Any]:
    """Return (rows, checksum) of ``visitor``, and of each file's part of ``statistics``, by name."""
    return {name: tuple(values) for name, *values in rows(cursor, "commands/drill_contents")}


def compare(live: dict[str, Any], restored: dict[str, Any]) -> Status:
    """Print every difference, then a closing line; return DISK if there is a difference."""
    differing = [name for name in sorted(live.keys() | restored.keys()) if live.get(name) != restored.get(name)]
    for name in differing:
        say(f"{name}: live {live.get(name)}, restored {restored.get(name)} (rows, checksum)")
    rows, _ = live.get("visitor", (0, 0))
    lines = sum(count for name, (count, _) in live.items() if name != "visitor")
    held = f"{count_of(len(live) - 1, 'file')}, {lines:,} statistics and {count_of(rows, 'visitor')}"
    say(f"{held} compared: {count_of(len(differing), 'difference') if differing else 'no differences'}.")
    return Status.DISK if differing else Status.DONE


if __name__ == "__main__":
    run_command("restore-drill", main, Settings)

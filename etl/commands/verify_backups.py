"""Compare every backup zip with its manifest and the load log. Prints every flaw."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from backup.encryption import ENCRYPTED, read_identities
from backup.zips import flaws
from base.counting import count_of
from base.settings import Settings
from base.trouble import Status
from commands.console import say
from postgres import ledger
from postgres.database import Database
from postgres.ledger import Entry, Zip
from runtime.script import run_command


def main(settings: Settings) -> Status:
    """Print every flaw, then closing lines; return DISK if there is a flaw."""
    identities = read_identities(settings)
    database = Database(settings)
    entries = database.run(ledger.archived_entries)
    everything = database.run(ledger.zips)
    unzipped = [entry.name for entry in database.run(ledger.open_entries) if not entry.archived]
    database.close()
    zips = [known for known in everything if known.name in entries]
    kept = [known for known in zips if not known.is_pruned]
    folder = settings.backup_dir
    found = [flaw for known in kept for flaw in flaws(folder / known.name, known.stamp, entries[known.name], identities)]
    found += [f"{name}: in the load log, but in no zip" for name in unzipped]
    found += strangers({known.name for known in everything}, entries.keys(), folder)
    for flaw in found:
        say(flaw)
    held = f"{count_of(len(kept), 'zip')} with {count_of(sum(len(entries[known.name]) for known in kept), 'report')} in {folder}"
    say(f"{held}: {count_of(len(found), 'flaw') if found else 'no flaws'}.")
    for sentence in left_out(zips, entries, bool(identities)):
        say(sentence)
    return Status.DISK if found else Status.DONE


def strangers(names: set[str], named: Iterable[str], folder: Path) -> Iterator[str]:
    """Yield what is not in load_zip: zips ``named`` by load_file, and zips in the folder.

    A zip that a killed run put in place is in load_zip, although the run never entered that the zip is proved.
    """
    yield from (f"{name}: in load_file, but not in load_zip" for name in named if name not in names)
    there = sorted(path.name for ending in ("", ENCRYPTED) for path in folder.glob(f"*.zip{ending}"))
    yield from (f"{name}: not in the load log" for name in there if name not in names)


def left_out(zips: list[Zip], entries: dict[str, list[Entry]], is_opened: bool) -> Iterator[str]:
    """Yield which zips were compared less than whole, and why."""
    pruned = [entries[known.name] for known in zips if known.is_pruned]
    if pruned:
        count = count_of(sum(map(len, pruned)), "report")
        yield f"{count_of(len(pruned), 'zip')} with {count} not compared: pruned, as BACKUP_KEEP_DAYS asks."
    closed = [known for known in zips if known.name.endswith(ENCRYPTED) and not known.is_pruned]
    if closed and not is_opened:
        yield f"{count_of(len(closed), 'encrypted zip')} compared by size and SHA-256 alone: BACKUP_IDENTITY_FILE is not set."


if __name__ == "__main__":
    run_command("verify-backups", main, Settings)

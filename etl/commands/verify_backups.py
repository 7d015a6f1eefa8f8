"""Compare every backup zip with its manifest and the load log. Prints every flaw."""

from backup.zips import flaws
from base.counting import count_of
from base.settings import Settings
from base.trouble import Status
from postgres import ledger
from postgres.database import Database
from runtime.script import run_command


def main(settings: Settings) -> Status:
    """Print every flaw, then a closing line; return DISK if there is a flaw."""
    database = Database(settings)
    zips = database.run(ledger.archived_entries)
    unzipped = [entry.name for entry in database.run(ledger.open_entries) if not entry.archived]
    database.close()
    found = [flaw for name, entries in zips.items() for flaw in flaws(settings.backup_dir / name, entries)]
    found += [f"{name}: in the load log, but in no zip" for name in unzipped]
    known = {settings.backup_dir / name for name in zips}
    found += [f"{path.name}: not in the load log" for path in sorted(settings.backup_dir.glob("*.zip")) if path not in known]
    for flaw in found:
        print(flaw)
    held = f"{count_of(len(zips), 'zip')} with {count_of(sum(map(len, zips.values())), 'report')} in {settings.backup_dir}"
    print(f"{held}: {count_of(len(found), 'flaw') if found else 'no flaws'}.")
    return Status.DISK if found else Status.DONE


if __name__ == "__main__":
    run_command("verify-backups", main, Settings)

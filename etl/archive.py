"""Zip the reports that are in the load log, read the zip back and compare it, delete the reports here and on the server.

Then remove what is older than BACKUP_KEEP_DAYS and ERRORS_KEEP_DAYS.
"""

import logging
import time
from pathlib import Path

from backup.encryption import ENCRYPTED
from backup.pruning import prune
from backup.zips import ZIP_NAME, flaws, make_zip
from base import trust
from base.files import sync_folder
from base.progress import progress
from base.run import Run
from base.settings import Settings
from base.trouble import Status
from base.workdir import Report, WorkDir
from postgres import ledger
from postgres.database import Database
from postgres.ledger import Entry
from runtime.script import run_script

log = logging.getLogger("etl.archive")


def main(settings: Settings, run: Run) -> Status:
    """Zip every report that is in the load log and in no zip yet, clear every report that is in a zip, then prune."""
    work, database = WorkDir(settings), Database(settings)
    archive(database, work, settings)
    status = clear(database, work, settings)
    prune(database, settings)
    database.close()
    return status


def archive(database: Database, work: WorkDir, settings: Settings) -> None:
    """Put the reports that are in no zip yet into one new zip, encrypted if there are BACKUP_RECIPIENTS."""
    folder = settings.backup_dir
    trust.verify("BACKUP_DIR", folder)
    for leftover in folder.glob(".visitas_*.part"):
        leftover.unlink()
    waiting = enter_in_place(database, folder)
    reports = {entry: work.report(entry.name) for entry in waiting}
    here = {entry: report for entry, report in reports.items() if report.is_file_of(entry.bytes, entry.mtime)}
    for entry in [entry for entry in reports if entry not in here]:
        log.warning(
            "%s is in the load log, but neither in WORK_DIR nor in a zip. Hint: ask the sender for that report again.",
            entry.name,
        )
    if here:
        folder.mkdir(parents=True, exist_ok=True)
        put_in_zip(database, here, settings)


def enter_in_place(database: Database, folder: Path) -> list[Entry]:
    """Enter the zip that a killed run put in place without entering that; return the entries that are in no zip yet.

    The zip must hold exactly the waiting entries that name the zip.
    """
    waiting = [entry for entry in database.run(ledger.open_entries) if not entry.archived]
    if not any(entry.archive_name for entry in waiting):
        return waiting
    for begun in database.run(ledger.zips):
        entries = [entry for entry in waiting if entry.archive_name == begun.name]
        if entries and not any(flaws(folder / begun.name, begun.stamp, entries)):
            sync_folder(folder)
            database.run(ledger.set_archived, entries, begun.name)
            waiting = [entry for entry in waiting if entry.archive_name != begun.name]
    return waiting


def put_in_zip(database: Database, reports: dict[Entry, Report], settings: Settings) -> None:
    """Make a zip of the reports. It gets its final name once it was read back and agrees with the load log.

    If the zip has a flaw, the zip is deleted, and StageError is raised.
    """
    path = free_path(settings)
    part = path.with_name(f".{path.name}.part")
    try:
        with progress("archive", 2 * sum(entry.bytes for entry in reports)):  # each byte is written, then read back
            stamp = make_zip(part, reports, settings.backup_recipients)
        database.run(ledger.set_archive_name, list(reports), path.name, stamp)
        part.rename(path)
        sync_folder(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    database.run(ledger.set_archived, list(reports), path.name)
    facts = {"zip": path.name, "zip_files": len(reports), "zip_bytes": stamp.bytes}
    log.info("archived files=%d zip=%s bytes=%d", len(reports), path, stamp.bytes, extra={"facts": facts})


def clear(database: Database, work: WorkDir, settings: Settings) -> Status:
    """Delete the archived reports on the server, if DELETE_SOURCE is true, and then in WORK_DIR.

    Return DONE, or the status of a report that could not be deleted.
    """
    archived = [entry for entry in database.run(ledger.open_entries) if entry.archived]
    status = Status.DONE
    cleared: list[Entry] = []
    try:
        if archived and settings.delete_source:
            from backup.clearing import clear_both  # noqa: PLC0415 - slow to import: not for a night without files

            for entry, outcome in clear_both(archived, work, settings):
                if outcome is Status.DONE:
                    cleared.append(entry)
                else:
                    status = outcome
        else:
            for entry in archived:
                work.report(entry.name).remove_if(entry.bytes, entry.mtime)
                cleared.append(entry)
        return status
    finally:
        if settings.delete_source and cleared:
            sync_folder(work.root)  # a report that came back after a power cut would look like a new delivery
            database.run(ledger.set_source_deleted, cleared)
        log.info("cleared files=%d", len(cleared), extra={"facts": {"cleared": len(cleared)}})


def free_path(settings: Settings) -> Path:
    """Return the path for a new zip, named for the current second in TIMEZONE; wait if that zip exists."""
    form = ZIP_NAME + (ENCRYPTED if settings.backup_recipients else "")
    while (path := settings.backup_dir / settings.now().strftime(form)).exists():
        time.sleep(0.1)
    return path


if __name__ == "__main__":
    run_script("archive", main)

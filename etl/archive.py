"""Zip the reports that are in the load log, read the zip back and compare it, then delete the reports here and on the server."""

import logging
import time
from pathlib import Path

from backup.zips import ZIP_NAME, flaws, write_zip
from base.files import sync_folder
from base.progress import progress
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from postgres import ledger
from postgres.database import Database
from postgres.ledger import Entry
from runtime.script import run_script

log = logging.getLogger("etl.archive")


def main(settings: Settings, run: Run) -> Status:
    """Zip every report that is in the load log and in no zip yet, then clear every report that is in a zip."""
    work, database = WorkDir(settings), Database(settings)
    archive(database, work, settings)
    status = clear(database, work, settings)
    database.close()
    return status


def archive(database: Database, work: WorkDir, settings: Settings) -> None:
    """Put the reports that are in no zip yet into one new zip.

    The zip gets its final name once it was read back and agrees with the load log. If the zip has a flaw, the zip is
    deleted, and StageError is raised.
    """
    waiting = [entry for entry in database.run(ledger.open_entries) if not entry.archived]
    folder = settings.backup_dir
    in_place = [entry for entry in waiting if is_in_place(entry, waiting, folder)]
    if in_place:  # a run was killed after it put the zip in place, and before it entered that
        sync_folder(folder)
        database.run(ledger.set_archived, in_place)
    not_zipped = {entry: work.report(entry.name) for entry in waiting if entry not in in_place}
    reports = {entry: report for entry, report in not_zipped.items() if report.is_file_of(entry.bytes, entry.mtime)}
    for entry in not_zipped:
        if entry not in reports:
            log.warning(
                "%s is in the load log, but neither in WORK_DIR nor in a zip. Hint: ask the sender for that report again.",
                entry.name,
            )
    if not reports:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".visitas_*.zip.part"):
        leftover.unlink()
    path = free_path(folder, settings)
    part = path.with_name(f".{path.name}.part")
    try:
        with progress("archive", 2 * sum(entry.bytes for entry in reports)):  # each byte is written, then read back
            with part.open("xb") as file:
                write_zip(file, reports)
            zip_flaws = list(flaws(part, list(reports)))
        if zip_flaws:
            raise StageError(
                Status.DISK,
                f"the new zip was read back and differs from the load log: {zip_flaws[0]}.",
                f"no report was deleted, here or on the server; check the disks of {folder} and {work.root}.",
            )
        database.run(ledger.set_archive_name, list(reports), path.name)
        part.rename(path)
        sync_folder(folder)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
    database.run(ledger.set_archived, list(reports))
    facts = {"zip": path.name, "zip_files": len(reports), "zip_bytes": path.stat().st_size}
    log.info("archived files=%d zip=%s bytes=%d", len(reports), path, facts["zip_bytes"], extra={"facts": facts})


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


def is_in_place(entry: Entry, waiting: list[Entry], folder: Path) -> bool:
    """Return whether the zip that a killed run named for the entry is in place and has no flaw.

    The zip must hold exactly the entries of ``waiting`` that name the zip.
    """
    if entry.archive_name is None:
        return False
    entries = [other for other in waiting if other.archive_name == entry.archive_name]
    return not any(flaws(folder / entry.archive_name, entries))


def free_path(folder: Path, settings: Settings) -> Path:
    """Return the path for a new zip, named for the current second in TIMEZONE; wait if that zip exists."""
    while (path := folder / settings.now().strftime(ZIP_NAME)).exists():
        time.sleep(0.1)
    return path


if __name__ == "__main__":
    run_script("archive", main)

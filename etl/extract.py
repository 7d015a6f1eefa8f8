"""Pull every finished report from the SFTP server into the work directory."""

import logging
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO

from base.files import natural_order, sync_folder, whole_file
from base.progress import advance, progress
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.waiting import Outage, retrying
from base.workdir import Report, WorkDir
from postgres import ledger
from postgres.database import Database
from runtime.script import run_script
from sftp.batches import in_groups
from sftp.server import Changed, Listed, Remote

CLOCK_SKEW = 3600  # seconds that the server's clock may be ahead without a word

log = logging.getLogger("etl.extract")


def main(settings: Settings, run: Run) -> Status:
    """Pull what is finished and not here yet; leave the rest for the next run."""
    work = WorkDir(settings)
    remote = Remote(settings)
    listed, refused = retrying(settings.retry_seconds)(remote.list)
    files = wanted(listed, settings)
    for name in refused:
        log.warning("refused the remote file name %r. Hint: it would not stay in the work directory; rename it.", name)
    ready = [file for file in files if is_ready(file, work.report(file.name), settings)]
    here = [file for file in files if work.report(file.name).is_file_of(file.size, file.mtime)]
    ready.sort(key=lambda file: natural_order(file.name))

    with progress("extract", sum(file.size for file in ready)):
        status = max(in_groups(remote, partial(pull, work), ready, settings.retry_seconds), default=Status.DONE)
    remote.close()
    missing = [file.name for file in files if not work.report(file.name).path.exists()]
    work.leave(missing)
    sync_folder(work.root)
    pulled = {file.name for file in ready} - set(missing)
    facts = {
        "seen": len(listed) + len(refused),
        "pulled": len(pulled),
        "here": len(here),
        "left": len(files) - len(pulled) - len(here),
        "done_with": len(listed) - len(files),
        "names_refused": len(refused),
    }
    log.info(" ".join(f"{name}={count}" for name, count in facts.items()), extra={"facts": facts})
    return status or (Status.REFUSED if refused else Status.DONE)


def wanted(files: list[Listed], settings: Settings) -> list[Listed]:
    """Return the files that are not done with: if they stay on the server, the load log knows which are."""
    if settings.delete_source:
        return files
    database = Database(settings)
    archived = {Listed(entry.name, entry.bytes, entry.mtime) for entry in database.run(ledger.open_entries) if entry.archived}
    database.close()
    return [file for file in files if file not in archived]


def is_ready(file: Listed, report: Report, settings: Settings) -> bool:
    """Return whether a file is to be pulled now: it is old enough and its name is free in the work directory."""
    if report.path.exists():
        if not report.is_file_of(file.size, file.mtime):
            log.warning("left %s for the next run: an earlier file of that name is still in work", file.name)
        return False
    age = time.time() - file.mtime
    if age < -CLOCK_SKEW:
        log.warning("left %s for the next run: it is dated in the future. Hint: compare the clocks.", file.name)
    elif age < settings.min_age_seconds:
        log.info("left %s for the next run: age_seconds=%.0f", file.name, age)
    return age >= settings.min_age_seconds


def pull(work: WorkDir, remote: Remote, files: Sequence[Listed]) -> list[Status]:
    """Pull files as far as the server gives them, and return how each of these ended: of one at least, or raise Outage.

    What is wrong with a file stops no other.
    """
    settled: list[Future[Status]] = []
    broken: list[Status] = []
    with ThreadPoolExecutor(1) as settler:  # one file is synced while the next is received
        try:
            for file, blocks in groupby(remote.read(files), itemgetter(0)):
                received = receive((block for _, block in blocks), work.report(file.name).path)
                settled.append(settler.submit(settle, file, *received))
        except Outage:
            if not settled:
                raise
        except StageError as error:
            log.error("%s: %s", files[len(settled)].name, error)
            broken.append(error.status)
    return [*(future.result() for future in settled), *broken]


def receive(blocks: Iterable[bytes | Changed | StageError], path: Path) -> tuple[ExitStack, IO[bytes], Exception | None]:
    """Write what comes of a file; return what gives it its final name when it is left, the file, and why it is not good."""
    fault = None
    with ExitStack() as part:
        file = part.enter_context(whole_file(path))
        for block in blocks:
            if isinstance(block, Exception):
                fault = block
            else:
                file.write(block)
                advance(len(block))
        return part.pop_all(), file, fault


def settle(file: Listed, part: ExitStack, received: IO[bytes], fault: Exception | None) -> Status:
    """Keep a file that is good, or drop one that is not, and return how it ended.

    It keeps its time on the server: size and time tell later whether the file still is this file.
    """
    try:
        with part:
            if fault:
                raise fault
            received.flush()
            os.utime(received.fileno(), (file.mtime, file.mtime))
            os.fsync(received.fileno())
    except Changed as change:
        log.warning("left %s for the next run: %s", file.name, change)
    except StageError as error:
        log.error("%s: %s", file.name, error)
        return error.status
    else:
        log.info("pulled %s bytes=%d", file.name, file.size)
    return Status.DONE


if __name__ == "__main__":
    run_script("extract", main)

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

from base.files import natural, synced, written
from base.progress import advance, progress
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.waiting import Outage, retrying
from base.workdir import Report, WorkDir
from postgres import ledger
from postgres.database import Database
from runtime.script import own_process
from sftp.batches import in_groups
from sftp.server import Changed, Remote, Source

CLOCK_SKEW = 3600  # seconds that the server's clock may be ahead without a word

log = logging.getLogger("etl.extract")


def main(settings: Settings, run: Run) -> Status:
    """Pull what is finished and not here yet; leave the rest for the next run."""
    work = WorkDir(settings)
    remote = Remote(settings)
    listed, refused = retrying(settings.retry_seconds)(remote.list)
    sources = wanted(listed, settings)
    for name in refused:
        log.warning("refused the remote file name %r. Hint: it would not stay in the work directory; rename it.", name)
    ready = [source for source in sources if is_ready(source, work.report(source.name), settings)]
    here = [source for source in sources if work.report(source.name).is_file_of(source.size, source.mtime)]
    ready.sort(key=lambda source: natural(source.name))

    with progress("extract", sum(source.size for source in ready)):
        status = max(in_groups(remote, partial(pull, work), ready, settings.retry_seconds), default=Status.DONE)
    remote.close()
    missing = [source.name for source in sources if not work.report(source.name).path.exists()]
    work.leave(missing)
    synced(work.root)
    pulled = {source.name for source in ready} - set(missing)
    facts = {
        "seen": len(listed) + len(refused),
        "pulled": len(pulled),
        "here": len(here),
        "left": len(sources) - len(pulled) - len(here),
        "done_with": len(listed) - len(sources),
        "names_refused": len(refused),
    }
    log.info(" ".join(f"{name}={count}" for name, count in facts.items()), extra={"facts": facts})
    return status or (Status.REFUSED if refused else Status.DONE)


def wanted(sources: list[Source], settings: Settings) -> list[Source]:
    """Return the files that are not done with: if they stay at the source, the load log knows which are."""
    if settings.delete_source:
        return sources
    database = Database(settings)
    archived = {Source(entry.name, entry.bytes, entry.mtime) for entry in database.run(ledger.open_entries) if entry.archived}
    database.close()
    return [source for source in sources if source not in archived]


def is_ready(source: Source, report: Report, settings: Settings) -> bool:
    """Return whether a file is to be pulled now: it is old enough and its name is free in the work directory."""
    if report.path.exists():
        if not report.is_file_of(source.size, source.mtime):
            log.warning("left %s for the next run: an earlier file of that name is still in work", source.name)
        return False
    age = time.time() - source.mtime
    if age < -CLOCK_SKEW:
        log.warning("left %s for the next run: it is dated in the future. Hint: compare the clocks.", source.name)
    elif age < settings.min_age_seconds:
        log.info("left %s for the next run: age_seconds=%.0f", source.name, age)
    return age >= settings.min_age_seconds


def pull(work: WorkDir, remote: Remote, sources: Sequence[Source]) -> list[Status]:
    """Pull files as far as the server gives them, and return how each of these ended: of one at least, or raise Outage.

    What is wrong with a file stops no other.
    """
    settled: list[Future[Status]] = []
    broken: list[Status] = []
    with ThreadPoolExecutor(1) as settler:  # one file is synced while the next is received
        try:
            for source, blocks in groupby(remote.read(sources), itemgetter(0)):
                received = receive((block for _, block in blocks), work.report(source.name).path)
                settled.append(settler.submit(settle, source, *received))
        except Outage:
            if not settled:
                raise
        except StageError as error:
            log.error("%s: %s", sources[len(settled)].name, error)
            broken.append(error.status)
    return [*(future.result() for future in settled), *broken]


def receive(blocks: Iterable[bytes | Changed | StageError], path: Path) -> tuple[ExitStack, IO[bytes], Exception | None]:
    """Write what comes of a file; return what gives it its final name when it is left, the file, and why it is not good."""
    fault = None
    with ExitStack() as part:
        file = part.enter_context(written(path))
        for block in blocks:
            if isinstance(block, Exception):
                fault = block
            else:
                file.write(block)
                advance(len(block))
        return part.pop_all(), file, fault


def settle(source: Source, part: ExitStack, file: IO[bytes], fault: Exception | None) -> Status:
    """Keep a file that is good, or drop one that is not, and return how it ended.

    It keeps its time at the source: size and time tell later whether the source still is this file.
    """
    try:
        with part:
            if fault:
                raise fault
            file.flush()
            os.utime(file.fileno(), (source.mtime, source.mtime))
            os.fsync(file.fileno())
    except Changed as reason:
        log.warning("left %s for the next run: %s", source.name, reason)
    except StageError as error:
        log.error("%s: %s", source.name, error)
        return error.status
    else:
        log.info("pulled %s bytes=%d", source.name, source.size)
    return Status.DONE


if __name__ == "__main__":
    own_process("extract", main)

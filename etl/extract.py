"""Pull every finished report from the SFTP server into the work directory."""

import logging
import os
import time
from pathlib import Path

import ledger
from database import Database
from ledger import Run
from outage import Outage, retrying
from remote import Remote, Source
from settings import Settings
from stage import own_process
from trouble import StageError, Status
from workdir import WorkDir, natural, synced, written

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
    pulled, status = 0, Status.REFUSED if refused else Status.DONE
    for source in sorted(sources, key=lambda source: natural(source.name)):
        if is_ready(source, work.report(source.name).path, settings):
            try:
                pulled += retrying(settings.retry_seconds)(pull, remote, source, work)
            except Outage:
                raise
            except StageError as error:  # this file only: the others go on
                log.error("%s: %s", source.name, error)
                status = error.status
    work.leave([source.name for source in sources if not work.report(source.name).path.exists()])
    remote.close()
    synced(work.root)
    log.info("pulled files=%d listed=%d refused_names=%d", pulled, len(listed), len(refused))
    return status


def wanted(sources: list[Source], settings: Settings) -> list[Source]:
    """Return the files that are not done with: if they stay at the source, the load log knows which are."""
    if settings.delete_source:
        return sources
    database = Database(settings)
    archived = {Source(entry.name, entry.bytes, entry.mtime) for entry in database.run(ledger.open_entries) if entry.archived}
    database.close()
    return [source for source in sources if source not in archived]


def is_ready(source: Source, path: Path, settings: Settings) -> bool:
    """Return whether a file is to be pulled now: it is old enough and its name is free in the work directory."""
    if path.exists():
        here = path.stat()
        if (here.st_size, int(here.st_mtime)) != (source.size, source.mtime):
            log.warning("left %s for the next run: an earlier file of that name is still in work", source.name)
        return False
    age = time.time() - source.mtime
    if age < -CLOCK_SKEW:
        log.warning("left %s for the next run: it is dated in the future. Hint: compare the clocks.", source.name)
    elif age < settings.min_age_seconds:
        log.info("left %s for the next run: age_seconds=%.0f", source.name, age)
    return age >= settings.min_age_seconds


def pull(remote: Remote, source: Source, work: WorkDir) -> bool:
    """Pull one file, or leave it if it is not what was listed; return whether it is here.

    It keeps its time at the source: size and time tell later whether the source still is this file.
    """
    try:
        with written(work.report(source.name).path) as file:
            if remote.look(source.name) != source:
                raise Changed("it changed since it was listed")
            size = sum(map(file.write, remote.read(source)))
            if remote.look(source.name) != source:
                raise Changed("it changed while it was read")
            if size != source.size:
                raise Changed(f"the server lists {source.size} bytes but gives {size}")
            file.flush()
            os.utime(file.fileno(), (source.mtime, source.mtime))
            os.fsync(file.fileno())
    except Changed as reason:
        log.warning("left %s for the next run: %s", source.name, reason)
        return False
    log.info("pulled %s bytes=%d", source.name, size)
    return True


class Changed(Exception):
    """The source is not the file that was listed."""


if __name__ == "__main__":
    own_process("extract", main)

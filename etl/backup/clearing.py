"""Clearing on the server: apart from archive.py, so that a night without files does not wait for the import of paramiko."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from postgres.ledger import Entry
from sftp.batches import in_groups
from sftp.server import Listed, Remote

log = logging.getLogger("etl.clearing")


def clear_both(archived: Sequence[Entry], work: WorkDir, settings: Settings) -> Iterator[tuple[Entry, Status]]:
    """Remove reports on the server and then here; yield how it ended for each."""
    remote = Remote(settings)
    try:
        yield from zip(archived, in_groups(remote, partial(clear_group, work), archived, settings.retry_seconds), strict=True)
    finally:
        remote.close()


def clear_group(work: WorkDir, remote: Remote, entries: Sequence[Entry]) -> list[Status]:
    """Remove a group of reports and return how it ended for each, or raise Outage or StageError."""
    files = [Listed(entry.name, entry.bytes, entry.mtime) for entry in entries]
    deleted = remote.delete(files)
    statuses = []
    for file in files:
        outcome = deleted[file]
        if isinstance(outcome, StageError):  # this file only: the others go on
            log.error("%s: %s", file.name, outcome)
            statuses.append(outcome.status)
        else:
            log.info("cleared %s deleted_at_source=%s", file.name, outcome)
            work.report(file.name).remove_if(file.size, file.mtime)
            statuses.append(Status.DONE)
    return statuses

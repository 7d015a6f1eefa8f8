"""Clearing: a report that is in a proved zip goes, at the source and here."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from groups import in_groups
from ledger import Entry
from remote import Remote, Source
from settings import Settings
from trouble import StageError, Status
from workdir import WorkDir

log = logging.getLogger("etl.clearing")


def cleared(archived: Sequence[Entry], work: WorkDir, settings: Settings) -> Iterator[tuple[Entry, Status]]:
    """Remove reports at the source, if they are to be deleted there, and then here; yield how it ended for each."""
    remote = Remote(settings)
    try:
        outcomes = in_groups(remote, partial(clear_group, work, settings), archived, settings.retry_seconds)
        yield from zip(archived, outcomes, strict=True)
    finally:
        remote.close()


def clear_group(work: WorkDir, settings: Settings, remote: Remote, entries: Sequence[Entry]) -> list[Status]:
    """Remove a group of reports, what is staged from them too, and return how it ended for each; or raise Outage."""
    sources = [Source(entry.name, entry.bytes, entry.mtime) for entry in entries]
    deleted = remote.delete(sources) if settings.delete_source else {}
    statuses = []
    for source in sources:
        outcome = deleted.get(source, False)
        if isinstance(outcome, StageError):  # this file only: the others go on
            log.error("%s: %s", source.name, outcome)
            statuses.append(outcome.status)
            continue
        if settings.delete_source:
            log.info("cleared %s deleted_at_source=%s", source.name, outcome)
        report = work.report(source.name)
        if report.is_file_of(source.size, source.mtime):
            report.remove()
        statuses.append(Status.DONE)
    return statuses

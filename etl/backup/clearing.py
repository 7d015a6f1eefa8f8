"""Clearing on the server: apart from archive.py, so that a night without files does not wait for the import of paramiko."""

import logging
from collections.abc import Iterator, Sequence

from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from postgres.ledger import Entry
from sftp.client import Client
from sftp.packets import Refusal
from sftp.server import Server, name_some, refused

log = logging.getLogger("etl.clearing")


def clear_both(archived: Sequence[Entry], work: WorkDir, settings: Settings) -> Iterator[tuple[Entry, Status]]:
    """Remove reports on the server and then here; yield how it ended for each."""
    server = Server(settings)

    def remove(client: Client, entry: Entry) -> bool:
        return remove_same(client, server.path(entry.name), entry)

    troubles: dict[str, list[str]] = {}
    try:
        for entry, outcome in server.each(remove, archived):
            if isinstance(outcome, StageError):  # this file only: the others go on
                troubles.setdefault(str(outcome), []).append(entry.name)
                yield entry, outcome.status
            else:
                log.info("cleared %s deleted_at_source=%s", entry.name, outcome)
                work.report(entry.name).remove_if(entry.bytes, entry.mtime)
                yield entry, Status.DONE
    finally:
        server.close()
        for words, names in troubles.items():
            log.error("%s: %s", name_some(names), words)


def remove_same(client: Client, path: bytes, entry: Entry) -> bool:
    """Remove a file that still is what was pulled; return whether it was, and raise StageError if it stays."""
    pulled = entry.server_said().looked
    try:
        now = client.look(path)
        if now is None or now.claim != pulled:
            return False
        client.remove(path)
        now = client.look(path)
    except Refusal as error:
        hint = "give SFTP_USER the right to delete, or set DELETE_SOURCE=false."
        raise refused(error, "delete the file", hint) from error
    if now is not None and now.claim == pulled:
        raise StageError(
            Status.SFTP, "the SFTP server says that it has deleted the file, and still has it.", "ask the server's owner."
        )
    client.finished()
    return True

"""Pull every finished report from the SFTP server into the work directory."""

import logging
import os
import time
from collections.abc import Iterable

from base.files import natural_order, sync_folder, whole_file
from base.progress import advance, progress
from base.room import Room, Share
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.waiting import retrying
from base.workdir import Claim, Report, Said, WorkDir
from postgres import ledger
from postgres.database import Database
from runtime.script import run_script
from sftp.client import Broken, Client
from sftp.packets import MISSING, Look, Refusal
from sftp.server import Listed, Server, name_some, refused

CLOCK_SKEW = 3600  # seconds that the server's clock may be ahead without a word
DAY = 24 * 3600  # seconds; a file that is dated further ahead is never pulled
DONE_WITH = "it is done with"

log = logging.getLogger("etl.extract")


class Left(Exception):
    """Why a file is left for the next run."""


class Changed(Left):
    """The server says something else of a file once it has been read."""


def main(settings: Settings, run: Run) -> Status:
    """Pull what is finished and not here yet; leave the rest for the next run."""
    work, server = WorkDir(settings), Server(settings)
    listing = retrying(settings.retry_seconds)(server.list)
    puller = Puller(work, server, settings)
    files = [file for file in listing.files if not puller.is_done(file.name, file.claim)]
    here = [file for file in files if work.report(file.name).is_listed_as(file.claim)]
    waiting = sorted((file for file in files if file not in here), key=lambda file: natural_order(file.name))
    with progress("extract", sum(file.claim.size or 0 for file in waiting)):
        outcomes = {file.name: outcome for file, outcome in server.each(puller.pull, waiting)}
    server.close()
    left = {name: str(outcome) for name, outcome in outcomes.items() if isinstance(outcome, Exception)}
    done = len(listing.files) - len(files) + list(left.values()).count(DONE_WITH)
    work.leave({name: why for name, why in left.items() if why != DONE_WITH} | dict.fromkeys(listing.no_files, "no file"))
    sync_folder(work.root)
    facts = {
        "seen": len(listing.files) + len(listing.bad_names),
        "pulled": len(outcomes) - len(left),
        "here": len(here),
        "left": len(listing.files) - done - len(here) - (len(outcomes) - len(left)),
        "done_with": done,
        "names_refused": len(listing.bad_names),
    }
    log.info(" ".join(f"{name}={count}" for name, count in facts.items()), extra={"facts": facts})
    return tell_of_trouble(outcomes) or tell_of_names(listing.bad_names, listing.no_files)


class Puller:
    """What pulls one file at a time; many threads use it at once."""

    def __init__(self, work: WorkDir, server: Server, settings: Settings) -> None:
        self._work, self._server, self._settings = work, server, settings
        self._room = Room(work.root, sum(report.path.stat().st_size for report in work.reports()))
        self._left = work.left()
        self._done = done_with(settings)

    def is_done(self, name: str, claim: Claim) -> bool:
        """Return whether a listed file is done with, as far as its listing says; one of unknown size or time may have changed."""
        return None not in claim and (name, claim) in self._done["listed"]

    def pull(self, client: Client, file: Listed) -> Left | None:
        """Pull a file, or return why it is left for the next run; raise StageError if it cannot be pulled.

        The server is asked about the file before and after the file is read, in the same way: both answers must be alike.
        """
        path, report = self._server.path(file.name), self._work.report(file.name)
        try:
            before = client.look(path)
            if before is None:
                raise Left("it is gone from the server")
            self._check(file, report, before)
            with whole_file(report.path) as incoming, self._room.share(incoming, before.claim.size or 0) as share:
                size = self._receive(client, path, file, before, share)
                after = look_again(client, path)
                if after and after != before:
                    raise Changed(f"the server said {words_of(before)} of it before it was read, and {words_of(after)} after")
                if size < (said := before.claim.size or 0):
                    log.warning(
                        "%s ended after %d bytes; the server said %d. Hint: ask the sender for its size.", file.name, size, said
                    )
                mtime = before.claim.mtime or file.claim.mtime or 0
                report.remember(Said(file.claim, before.claim), size, mtime)
                incoming.flush()
                os.utime(incoming.fileno(), (mtime, mtime))  # size and time tell later whether the server still has this file
                os.fsync(incoming.fileno())
        except Refusal as error:
            if error.code == MISSING:
                return Left("it is gone from the server")
            raise refused(error, "give the file", "give SFTP_USER the right to read it.") from error
        except Changed as change:
            if self._left.get(file.name) == str(change):
                raise StageError(
                    Status.SFTP,
                    f"{change}, as it did the last time: it is never pulled.",
                    "ask the server's owner why the answers differ.",
                ) from change
            log.warning("left %s for the next run: %s", file.name, change)
            return change
        except Left as reason:
            return reason
        except OSError as error:  # the disk is full, or has a bad spot: the other files may be smaller, or lucky
            hint = "free space there or fix the rights; the next run pulls it."
            raise StageError(Status.DISK, f"it cannot be written to {self._work.root}: {error.strerror}.", hint) from error
        client.finished()
        log.info("pulled %s bytes=%d", file.name, size)
        return None

    def _check(self, file: Listed, report: Report, look: Look) -> None:
        """Raise Left or StageError unless the file may be pulled now."""
        if not look.may_be_file:
            raise StageError(Status.REFUSED, "its name matches REPORT_PATTERN, and it is no file.", "remove it there.")
        if report.path.exists():
            log.warning("left %s for the next run: an earlier file of that name is still in work", file.name)
            raise Left("an earlier file of that name is still in work")
        if (file.name, look.claim) in self._done["looked"]:
            raise Left(DONE_WITH)
        if (look.claim.size or 0) > self._settings.max_report_bytes:
            raise too_large(self._settings)
        age = time.time() - look.claim.mtime if look.claim.mtime is not None else DAY  # an unknown age is not young
        if age < -DAY:
            raise StageError(Status.SFTP, "it is dated more than a day ahead: it is never pulled.", "correct its time there.")
        if age < -CLOCK_SKEW:
            log.warning("left %s for the next run: it is dated in the future. Hint: compare the clocks.", file.name)
        elif age < self._settings.min_age_seconds:
            log.info("left %s for the next run: age_seconds=%.0f", file.name, age)
        if age < self._settings.min_age_seconds:
            raise Left("it may be unfinished")

    def _receive(self, client: Client, path: bytes, file: Listed, before: Look, share: Share) -> int:
        """Write the file's bytes and return how many they are.

        Where there are more than the server said, the server is asked about the file again: it may be growing.
        """
        size = 0
        doubt = before.claim.size or 0  # bytes behind which the server is asked again
        expected = before.claim.size if before.claim.size is not None else file.claim.size
        for block in client.read(path, expected):
            share.write(block)
            advance(len(block))
            size += len(block)
            if size > self._settings.max_report_bytes:
                raise too_large(self._settings)
            if size > doubt:
                now = look_again(client, path)
                if now and now != before:
                    raise Changed(f"the server said {words_of(before)} of it before it was read, and {words_of(now)} meanwhile")
                doubt = 2 * size
        return size


def done_with(settings: Settings) -> dict[str, set[tuple[str, Claim]]]:
    """Return what the server said of the files that are done with and stay there: in its listing, and of the file alone."""
    if settings.delete_source:
        return {"listed": set(), "looked": set()}
    database = Database(settings)
    archived = [entry for entry in database.run(ledger.open_entries) if entry.archived]
    database.close()
    return {kind: {(entry.name, getattr(entry.server_said(), kind)) for entry in archived} for kind in ("listed", "looked")}


def look_again(client: Client, path: bytes) -> Look | None:
    """Return what the server says of a file that was read; None if it is gone, or nothing more is to be had.

    What came up to its end may be the only copy. So a server that does not answer now is no reason to throw it away.
    """
    try:
        return client.look(path)
    except (Refusal, Broken):
        return None


def words_of(look: Look) -> str:
    """Return what a server says of a file, in words."""
    size, mtime = look.claim
    return f"{'no size' if size is None else f'{size} bytes'} and {'no time' if mtime is None else f'time {mtime}'}"


def too_large(settings: Settings) -> StageError:
    """Return the trouble of a file above MAX_REPORT_BYTES."""
    return StageError(
        Status.SFTP,
        f"it is larger than MAX_REPORT_BYTES, {settings.max_report_bytes:,} bytes: it is not pulled.",
        "ask the sender; raise MAX_REPORT_BYTES if it is right.",
    )


def tell_of_trouble(outcomes: dict[str, Left | StageError | None]) -> Status:
    """Log each trouble once, with the files that met it, and return the gravest status."""
    files: dict[tuple[Status, str], list[str]] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, StageError):
            files.setdefault((outcome.status, str(outcome)), []).append(name)
    for (_, words), names in files.items():
        log.error("%s: %s", name_some(names), words)
    return max((status for status, _ in files), default=Status.DONE)


def tell_of_names(bad_names: Iterable[str], no_files: Iterable[str]) -> Status:
    """Warn of what matches REPORT_PATTERN and can never be pulled; REFUSED if there is any."""
    if bad := sorted(bad_names):
        log.warning("refused by name: %s. Hint: such a name cannot be used here; rename it on the server.", name_some(bad))
    if strange := sorted(no_files, key=natural_order):
        log.warning("no file, though its name matches REPORT_PATTERN: %s. Hint: remove it from the server.", name_some(strange))
    return Status.REFUSED if bad or strange else Status.DONE


if __name__ == "__main__":
    run_script("extract", main)

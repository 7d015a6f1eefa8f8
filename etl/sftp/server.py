"""The SFTP server: what lies there, and work on many of its files over one connection."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

import paramiko

from base.masking import clean
from base.settings import Settings
from base.time_limit import watchdog
from base.trouble import StageError, Status
from base.waiting import Outage, retrying
from base.workdir import Claim
from sftp.client import Broken, Client
from sftp.packets import DENIED, Look, NotSFTP, Refusal
from sftp.ssh import TIMEOUT, connect, cut
from sftp.transport import Transport

WINDOW = 1 << 26  # bytes that the server may send before it hears from us; what is asked for is the limit
AT_ONCE = 16  # files that are worked on at the same time
NAME_LIMIT = 200  # bytes; leaves room for the names staged from it
OURS = ("staged", "manifest.json")  # names that the work directory and the zip have for themselves
FOLDERS = (b".", b"..")  # every listing has them
SHOWN = 20  # names in a message
RESOURCE_SHORTAGE = 4  # a refused channel that may be had in a moment (RFC 4254, section 5.1)

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger("etl.sftp")


class Listed(NamedTuple):
    """A report as the server lists it."""

    name: str
    claim: Claim


class Listing(NamedTuple):
    """What matches REPORT_PATTERN on the server."""

    files: list[Listed]
    bad_names: list[str]  # that cannot be used here; clean
    no_files: list[str]  # links, folders and the like

    def add(self, raw: bytes, look: Look) -> None:
        """Add a name that matches."""
        name = raw.decode(errors="surrogateescape")
        if raw in FOLDERS:
            return
        if not is_safe(name):
            self.bad_names.append(clean(raw.decode(errors="backslashreplace")) or "(no name)")
        elif look.may_be_file:
            self.files.append(Listed(name, look.claim))
        else:
            self.no_files.append(name)


class Unreachable(Outage):
    """A server to which no connection can be made."""


class Server:
    """The server, with a connection that is made when it is first needed, and made anew after it was lost."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._address = f"{settings.sftp_host}:{settings.sftp_port}"
        self._transport: Transport | None = None
        self._client: Client | None = None
        self._gently = False  # remembered: this server allows little at once

    def path(self, name: str) -> bytes:
        """Return the path of a report on the server."""
        return str(PurePosixPath(self._settings.sftp_remote_dir) / name).encode()

    def list(self) -> Listing:
        """Return what matches REPORT_PATTERN, which is all that is kept in memory; raise Outage or StageError."""
        folder = self._settings.sftp_remote_dir
        found = Listing([], [], [])
        try:
            for raw, look in self.connect().list(folder.encode()):
                if fnmatchcase(raw.decode(errors="surrogateescape"), self._settings.report_pattern):
                    found.add(raw, look)
        except Refusal as error:
            raise StageError(
                Status.SFTP,
                f"the remote folder {folder} cannot be listed: {error}.",
                "check SFTP_REMOTE_DIR and the rights of SFTP_USER.",
            ) from error
        except (Broken, NotSFTP) as error:
            raise self._lost(error) from error
        return found

    def each(self, work: Callable[[Client, Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | StageError]]:
        """Do the work on every item, many at once, and yield each with its result or its trouble, in no order.

        A connection that breaks is made anew. If nothing was finished over it, and for items that the server refused,
        the server is asked gently: one item, one request at a time. One item stops no other.
        """
        left = dict.fromkeys(items)
        while left and not self._gently:
            try:
                client = retrying(self._settings.retry_seconds)(self.connect)
            except StageError as error:
                yield from ((item, error) for item in left)
                return
            before, broken = len(left), None
            for item, result in together(client, work, left):
                if isinstance(result, Broken):
                    broken = result
                elif not isinstance(result, StageError):
                    del left[item]
                    yield item, result
            if broken:
                log.info("the connection broke: %s", words_of(broken))
                self.close()
            self._gently = not broken or len(left) in (before, 1)
        yield from self._one_by_one(work, list(left))

    def _one_by_one(
        self, work: Callable[[Client, Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | StageError]]:
        """Do the work gently on every item and yield each with its result or its trouble.

        The first item that breaks the connection is given RETRY_SECONDS; those behind it, one try each.
        """
        patience = self._settings.retry_seconds
        for number, item in enumerate(items):
            result: Result | StageError
            try:
                result = retrying(patience)(self._alone, work, item)
                patience = self._settings.retry_seconds
            except Unreachable as error:
                yield from ((other, error) for other in items[number:])
                return
            except Outage as error:
                result, patience = error, 0
            except StageError as error:
                result = error
            yield item, result

    def _alone(self, work: Callable[[Client, Item], Result], item: Item) -> Result:
        """Do the work on one item, one request at a time."""
        client = self.connect()
        try:
            client.ask_gently()
            return work(client, item)
        except (Broken, NotSFTP) as error:
            raise self._lost(error) from error

    def connect(self) -> Client:
        """Return the connection, a new one if there is none; raise Unreachable, or StageError for what waiting cannot heal."""
        if self._client is None:
            try:
                self._client = self._connect()
            except (paramiko.SSHException, OSError, EOFError, Broken, NotSFTP) as error:
                has_login = self._transport is not None and self._transport.is_authenticated()
                is_there = self._transport is not None
                self.close()
                refused = isinstance(error, paramiko.SSHException) and getattr(error, "code", 0) != RESOURCE_SHORTAGE
                if has_login and (refused or isinstance(error, NotSFTP)):
                    raise self._no_sftp(error) from error
                hint = "nothing is lost; the next run goes on."
                raise Unreachable(
                    Status.SFTP,
                    f"the SFTP server {self._address} cannot be reached: {words_of(error)}.",
                    hint if is_there else "is it up? Nothing is lost; the next run goes on.",
                ) from error
        return self._client

    def _connect(self) -> Client:
        self._transport = connect(self._settings)
        with watchdog(TIMEOUT, partial(cut, self._transport)):  # paramiko waits for these answers without end
            channel = self._transport.open_session(WINDOW)
            channel.settimeout(TIMEOUT)
            channel.invoke_subsystem("sftp")
            return Client(channel)

    def close(self) -> None:
        """End the connection; the next call makes a new one."""
        if self._transport is not None:
            cut(self._transport)
            self._transport.close()
        self._client = self._transport = None

    def _lost(self, error: Exception) -> StageError:
        """Close the connection that broke, and return what that means to people."""
        self.close()
        if isinstance(error, NotSFTP):
            return self._no_sftp(error)
        return Outage(
            Status.SFTP,
            f"the SFTP server {self._address} breaks the connection: {words_of(error)}.",
            "nothing is lost; the next run tries again. Ask the server's owner what its log says.",
        )

    def _no_sftp(self, error: Exception) -> StageError:
        return StageError(
            Status.SFTP,
            f"the server {self._address} lets us in, and does not speak SFTP: {words_of(error)}.",
            "is SFTP allowed for SFTP_USER, and does its login shell print nothing?",
        )


def together(
    client: Client, work: Callable[[Client, Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | StageError | Broken]]:
    """Do the work on many items at the same time and yield each with what came of it, as it is done."""
    with ThreadPoolExecutor(min(AT_ONCE, client.most_open or AT_ONCE)) as pool:
        under_way: dict[Future[Result], Item] = {pool.submit(work, client, item): item for item in items}
        try:
            for done in as_completed(under_way):
                try:
                    yield under_way[done], done.result()
                except NotSFTP as error:
                    yield under_way[done], Broken(str(error))
                except (StageError, Broken) as error:
                    yield under_way[done], error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def refused(error: Refusal, what: str, hint: str) -> StageError:
    """Return what a server's refusal to do something with a file means to people; the hint is for missing rights."""
    advice = hint if error.code == DENIED else "another program may be at work on it; the next run tries again."
    return StageError(Status.SFTP, f"the SFTP server refuses to {what}: {error}.", advice)


def name_some(names: Sequence[str]) -> str:
    """Return the first of some names, and how many there are."""
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:SHOWN])
    if len(names) > SHOWN:
        shown = f"{shown} and {len(names) - SHOWN} more"
    return f"{len(names)} files ({shown})"


def words_of(error: Exception) -> str:
    """Return what an error says, in clean words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = getattr(error, "strerror", None) or str(error) or "the connection ended"
    return clean(str(said)).rstrip(".")


def is_safe(name: str) -> bool:
    """Return whether a name from the server can be used as a file name here, and only as that."""
    return (
        name not in OURS
        and "/" not in name
        and name[:1] not in ("", ".")
        and name.isprintable()
        and len(name.encode()) <= NAME_LIMIT
    )

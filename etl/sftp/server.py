"""The SFTP server: the one door to it."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

import paramiko
from paramiko.auth_strategy import AuthFailure
from paramiko.sftp import CMD_ATTRS, CMD_CLOSE, CMD_HANDLE, CMD_LSTAT, CMD_OPEN, CMD_READ, CMD_REMOVE, SFTP_FLAG_READ

from base.settings import Settings
from base.time_limit import watchdog
from base.trouble import StageError, Status
from base.waiting import Outage
from sftp.client import Answer, Client, Request
from sftp.ssh import TIMEOUT, connect, cut, disconnect, transport_of

SLOWEST = 10_000  # bytes per second; a transfer that is slower on the whole hangs
TOGETHER = 32  # files that are asked for at once; so many are open at the same time
NAME_LIMIT = 200  # bytes; leaves room for the names staged from it


class Listed(NamedTuple):
    """A report as the server lists it."""

    name: str
    size: int  # bytes
    mtime: int  # seconds since 1970


class Changed(Exception):
    """The file is not the file that was listed."""


class Remote:
    """A connection that is made when it is first needed, and made anew after it was lost."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: paramiko.SSHClient | None = None
        self._sftp: Client | None = None

    def list(self) -> tuple[list[Listed], list[str]]:
        """Return the files that match REPORT_PATTERN, and the names among them that are refused."""
        with self._session() as sftp:
            try:
                found = sftp.listdir_attr(self._settings.sftp_remote_dir)
            except (FileNotFoundError, PermissionError) as error:
                raise StageError(
                    Status.SFTP,
                    f"the remote folder {self._settings.sftp_remote_dir} cannot be listed: {error.strerror}.",
                    "check SFTP_REMOTE_DIR and the rights of SFTP_USER.",
                ) from error
        wanted = [entry for entry in found if fnmatchcase(entry.filename, self._settings.report_pattern)]
        files = [
            Listed(entry.filename, entry.st_size or 0, int(entry.st_mtime or 0))
            for entry in wanted
            if is_safe(entry.filename) and stat.S_ISREG(entry.st_mode or stat.S_IFREG)  # a server need not tell the kind
        ]
        files = list({file.name: file for file in files}.values())  # a folder that changes may list one twice
        return files, [entry.filename for entry in wanted if not is_safe(entry.filename)]

    def read(self, files: Sequence[Listed]) -> Iterator[tuple[Listed, bytes | Changed | StageError]]:
        """Yield each file's bytes in blocks, file by file; the last one is empty, or else says why the file is not good.

        Changed: it is not what was listed any more. StageError: the server does not give it. It may end
        before the last file, though not before the first.
        """
        seconds = TIMEOUT * len(files) + sum(file.size for file in files) / SLOWEST
        with self._session(seconds) as sftp:
            opened = self._each(sftp, CMD_OPEN, files, SFTP_FLAG_READ, paramiko.SFTPAttributes())
            handles = {file: handle_of(sftp, answer) for file, answer in opened}
            refused = [isinstance(handle, OSError) and not isinstance(handle, FileNotFoundError) for handle in handles.values()]
            # A server may have so many files open and no more: those behind the limit are for the next call.
            within = refused.index(True, 1) if True in refused[1:] else len(files)
            answers = groupby(sftp.ask(self._requests(sftp, files[:within], handles)), lambda pair: pair[0].name)
            for file, (_, pairs) in zip(files[:within], answers, strict=True):
                for block in self._blocks(sftp, file, handles[file], pairs):
                    yield file, block
            for _ in sftp.ask(Request("", CMD_CLOSE, (handle,)) for handle in handles.values() if isinstance(handle, bytes)):
                pass  # not before: the rest of a block that came short is asked for late

    def delete(self, files: Sequence[Listed]) -> dict[Listed, bool | StageError]:
        """Delete the files that still are what was listed; return for each whether it was, or why it cannot be deleted."""
        outcomes: dict[Listed, bool | StageError] = {}
        with self._session(4 * TIMEOUT * len(files)) as sftp:
            for file, answer in self._each(sftp, CMD_LSTAT, files):
                try:
                    outcomes[file] = found(sftp, file.name, answer) == file
                except OSError as error:
                    outcomes[file] = refusal(error)
            same = [file for file, outcome in outcomes.items() if outcome is True]
            for file, answer in self._each(sftp, CMD_REMOVE, same):
                try:
                    sftp.content(answer)
                except FileNotFoundError:
                    outcomes[file] = False
                except PermissionError as error:
                    outcomes[file] = StageError(
                        Status.SFTP,
                        f"{file.name} cannot be deleted on the server: {error.strerror}.",
                        "give SFTP_USER the right to delete, or set DELETE_SOURCE=false.",
                    )
                except (OSError, EOFError) as error:
                    outcomes[file] = refusal(error)
        return outcomes

    def probe(self) -> None:
        """Make an empty file in the remote folder and delete it: whoever may not, cannot delete reports either."""
        name = f".visitas-check-{os.getpid()}"
        with self._session() as sftp:
            try:
                sftp.open(self._path(name), "wx").close()
                sftp.remove(self._path(name))
            except PermissionError as error:
                raise StageError(
                    Status.SFTP,
                    f"{self._settings.sftp_user} may not delete in {self._settings.sftp_remote_dir}.",
                    "give it the right to, or set DELETE_SOURCE=false.",
                ) from error

    def connect(self) -> None:
        """Make the connection if there is none, or raise Outage or StageError."""
        with self._session():
            pass

    def close(self) -> None:
        """End the connection; the next call makes a new one."""
        if self._client is not None:
            disconnect(self._client)
        self._client = self._sftp = None

    def _each(self, sftp: Client, kind: int, files: Sequence[Listed], *arguments: object) -> Sequence[tuple[Listed, Answer]]:
        """Ask the same of every file and return the answers."""
        requests = (Request(file.name, kind, (self._path(file.name), *arguments)) for file in files)
        return [(file, answer) for file, (_, answer) in zip(files, sftp.ask(requests), strict=True)]

    def _requests(self, sftp: Client, files: Sequence[Listed], handles: dict[Listed, bytes | Exception]) -> Iterator[Request]:
        """Yield the requests for the bytes of files that could be opened and, behind them, for what every file is then."""
        for file in files:
            if isinstance(handle := handles[file], bytes):
                yield from sftp.reads(file.name, handle, file.size)
            yield Request(file.name, CMD_LSTAT, (self._path(file.name),))

    def _blocks(
        self, sftp: Client, file: Listed, handle: bytes | Exception, answers: Iterable[tuple[Request, Answer]]
    ) -> Iterator[bytes | Changed | StageError]:
        """Yield what ``read`` does of one file."""
        size, now, late = 0, None, False
        try:
            if isinstance(handle, Exception):
                raise handle
            for request, answer in answers:
                if request.kind == CMD_READ:
                    for block in sftp.blocks(request, answer):
                        size += len(block)
                        late = late or len(block) < request.size  # the rest of it comes after the look
                        yield block
                else:
                    now = found(sftp, file.name, sftp.only(request) if late else answer)  # if so, look again
        except (FileNotFoundError, EOFError):
            pass  # gone since it was listed
        except OSError as error:
            if not self._is_refusal(error):
                raise
            yield refusal(error)
            return
        if now != file:
            yield Changed("it changed since it was listed")
        elif size != file.size:
            yield Changed(f"the server lists {file.size} bytes but gives {size}")
        else:
            yield b""

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self._settings.sftp_remote_dir) / name)

    @contextmanager
    def _session(self, seconds: float = 4 * TIMEOUT) -> Iterator["Client"]:
        """Give the SFTP session for so long; raise Outage or StageError for what the server or the path to it cannot do."""
        try:
            if self._client is None or self._sftp is None:
                self._client = connect(self._settings)
                with watchdog(TIMEOUT, partial(cut, self._client)):
                    self._sftp = Client.over(transport_of(self._client))
            with watchdog(seconds, partial(cut, self._client)):
                yield self._sftp
        except AuthFailure as error:
            self.close()
            if not all(isinstance(tried.result, paramiko.AuthenticationException) for tried in error.result):
                raise self._outage("the connection broke during the login") from error
            raise StageError(
                Status.SFTP,
                f"{self._settings.sftp_host} refuses the login of {self._settings.sftp_user}.",
                "check SFTP_USER, SFTP_KEY_FILE and SFTP_PASSWORD.",
            ) from error
        except OSError as error:
            if self._is_refusal(error):
                raise refusal(error) from error
            self.close()
            raise self._outage(words_of(error)) from error
        except (EOFError, paramiko.SSHException) as error:
            self.close()
            raise self._outage(words_of(error)) from error
        except paramiko.SFTPError as error:
            self.close()
            raise StageError(
                Status.SFTP, f"the server does not speak SFTP: {words_of(error)}.", "does its login shell print something?"
            ) from error

    def _is_refusal(self, error: OSError) -> bool:
        """Return whether an error is the server's answer, and not the connection's end, or that of its SFTP part."""
        transport = self._client.get_transport() if self._client else None
        alive = transport is not None and transport.is_active()
        return alive and not isinstance(error, TimeoutError) and self._sftp is not None and not self._sftp.sock.closed

    def _outage(self, said: str) -> Outage:
        return Outage(
            Status.SFTP,
            f"the SFTP server {self._settings.sftp_host}:{self._settings.sftp_port} does not answer: {said}.",
            "is it up? Nothing is lost; the next run goes on.",
        )


def handle_of(sftp: Client, answer: Answer) -> bytes | Exception:
    """Return the handle of a file that could be opened, or why it could not."""
    try:
        handle: bytes = sftp.content(answer, CMD_HANDLE).get_string()
    except (OSError, EOFError) as error:
        return error
    return handle


def found(sftp: Client, name: str, answer: Answer) -> Listed | None:
    """Return the file as an answer describes it, or None if it is gone."""
    try:
        attributes = paramiko.SFTPAttributes._from_msg(sftp.content(answer, CMD_ATTRS))  # type: ignore[attr-defined]
    except (FileNotFoundError, EOFError):
        return None
    return Listed(name, attributes.st_size or 0, int(attributes.st_mtime or 0))


def refusal(error: Exception) -> StageError:
    """Return what a server's refusal means to people."""
    return StageError(Status.SFTP, f"the SFTP server refuses: {words_of(error)}.", "check the rights of SFTP_USER there.")


def words_of(error: Exception) -> str:
    """Return what an error says, in words."""
    return getattr(error, "strerror", None) or str(error).removeprefix("[Errno None] ") or type(error).__name__


def is_safe(name: str) -> bool:
    """Return whether a name from the server can be used as a file name here, and only as that."""
    return "/" not in name and name[0] != "." and name.isprintable() and len(name.encode()) <= NAME_LIMIT

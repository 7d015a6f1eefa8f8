"""The SFTP server: the one door to it."""

import logging
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import paramiko
from paramiko.auth_strategy import AuthFailure, AuthSource, AuthStrategy, InMemoryPrivateKey, NoneAuth, Password
from paramiko.hostkeys import InvalidHostKey
from paramiko.sftp import CMD_NAME, CMD_READ, CMD_STATUS, int64

from outage import Outage, watchdog
from settings import Settings
from trouble import StageError, Status

TIMEOUT = 30  # seconds without a word from the server
SLOWEST = 10_000  # bytes per second; a transfer that is slower on the whole hangs
READ_AHEAD = 128  # requests on their way at once
BLOCK = 1 << 15  # bytes of a request: what every server gives
WINDOW = 1 << 26  # bytes that the server may send before it hears from us; what is asked for, 4 MB, is the limit
LANES = 4  # connections at the most
LANE_WORTH = 50  # files for which another connection is worth its login
NAME_LIMIT = 200  # bytes; leaves room for the names staged from it

log = logging.getLogger("etl.remote")


class Source(NamedTuple):
    """A report as the server lists it."""

    name: str
    size: int  # bytes
    mtime: int  # seconds since 1970


class Changed(Exception):
    """The source is not the file that was listed."""


class Remote:
    """A connection that is made when it is first needed, and made anew after it was lost."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: paramiko.SSHClient | None = None
        self._sftp: Client | None = None

    def lanes(self, files: int) -> "list[Remote]":
        """Return connections for so many files: this one and, if it is worth it and the server allows them, more."""
        lanes = [self]
        while len(lanes) < min(LANES, files // LANE_WORTH):
            spare = Remote(self._settings)
            try:
                with spare._session():
                    lanes.append(spare)
            except StageError as error:
                log.info("going on with connections=%d: %s", len(lanes), error)
                break
        return lanes

    def list(self) -> tuple[list[Source], list[str]]:
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
        sources = [
            Source(entry.filename, entry.st_size or 0, int(entry.st_mtime or 0))
            for entry in wanted
            if is_safe(entry.filename) and stat.S_ISREG(entry.st_mode or stat.S_IFREG)  # a server need not tell the kind
        ]
        return sources, [entry.filename for entry in wanted if not is_safe(entry.filename)]

    def read(self, source: Source) -> Iterator[bytes]:
        """Yield the file's bytes in blocks; raise Changed, in the end, if it is not what was listed."""
        size = 0
        with self._session(TIMEOUT + source.size / SLOWEST) as sftp:
            try:
                with sftp.open(self._path(source.name), "rb") as file:
                    for block in sftp.read_ahead(file.handle, source.size):
                        size += len(block)
                        yield block
            except (FileNotFoundError, EOFError):
                pass  # gone or cut short since it was listed
            if self._look(sftp, source.name) != source:
                raise Changed("it changed since it was listed")
        if size != source.size:
            raise Changed(f"the server lists {source.size} bytes but gives {size}")

    def delete(self, source: Source) -> bool:
        """Delete the file if it still is what was listed; return whether it was."""
        with self._session() as sftp:
            if self._look(sftp, source.name) != source:
                return False
            try:
                sftp.remove(self._path(source.name))
            except PermissionError as error:
                raise StageError(
                    Status.SFTP,
                    f"{source.name} cannot be deleted at the source: {error.strerror}.",
                    "give SFTP_USER the right to delete, or set DELETE_SOURCE=false.",
                ) from error
        return True

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

    def close(self) -> None:
        """End the connection; the next call makes a new one."""
        if self._client is not None:
            self._client.close()
        self._client = self._sftp = None

    def _look(self, sftp: paramiko.SFTPClient, name: str) -> Source | None:
        """Return the file as it is now, or None if it is gone."""
        try:
            found = sftp.lstat(self._path(name))
        except FileNotFoundError:
            return None
        return Source(name, found.st_size or 0, int(found.st_mtime or 0))

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self._settings.sftp_remote_dir) / name)

    @contextmanager
    def _session(self, seconds: float = 4 * TIMEOUT) -> Iterator["Client"]:
        """Give the SFTP session for so long; raise Outage or StageError for what the server or the path to it cannot do."""
        try:
            if self._client is None or self._sftp is None:
                self._client = connect(self._settings)
                self._sftp = Client.from_transport(transport_of(self._client), window_size=WINDOW)
                assert self._sftp is not None
                self._sftp.get_channel().settimeout(TIMEOUT)  # type: ignore[union-attr]  # set by open_sftp
            with watchdog(seconds, self._client.close):
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
            if not isinstance(error, TimeoutError) and self._is_alive():
                raise StageError(
                    Status.SFTP, f"the SFTP server refuses: {reason(error)}.", "check the rights of SFTP_USER there."
                ) from error
            self.close()
            raise self._outage(reason(error)) from error
        except (EOFError, paramiko.SSHException) as error:
            self.close()
            raise self._outage(reason(error)) from error
        except paramiko.SFTPError as error:
            self.close()
            raise StageError(
                Status.SFTP, f"the server does not speak SFTP: {reason(error)}.", "does its login shell print something?"
            ) from error

    def _is_alive(self) -> bool:
        transport = self._client.get_transport() if self._client else None
        return transport is not None and transport.is_active()

    def _outage(self, said: str) -> Outage:
        return Outage(
            Status.SFTP,
            f"the SFTP server {self._settings.sftp_host}:{self._settings.sftp_port} does not answer: {said}.",
            "is it up? Nothing is lost; the next run goes on.",
        )


class Answers(dict[int, tuple[int, paramiko.Message]]):
    """The answers to requests for a file's blocks, by request number, until they are taken."""

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self[number] = kind, message


class Client(paramiko.SFTPClient):
    """paramiko's client, with two ways of our own.

    A file name that is not UTF-8 does not end a listing. And files are read ahead without the thread
    of ``SFTPFile.prefetch``: if that falls behind the server, the rest of the file is pulled twice,
    once of it into the memory.
    """

    def read_ahead(self, handle: paramiko.SFTPHandle, size: int) -> Iterator[bytes]:
        """Yield the first ``size`` bytes of an open file in blocks; raise EOFError if there are fewer."""
        answers, asked = Answers(), deque[tuple[int, int, int]]()
        offset = 0

        def ask(start: int, length: int) -> tuple[int, int, int]:
            number: int = self._async_request(answers, CMD_READ, handle, int64(start), length)  # type: ignore[attr-defined]
            return number, start, length

        while offset < size or asked:
            while offset < size and len(asked) < READ_AHEAD:
                asked.append(ask(offset, min(BLOCK, size - offset)))
                offset += BLOCK
            number, start, length = asked.popleft()
            while number not in answers:
                self._read_response()  # type: ignore[attr-defined]  # none of these is in the stubs
            kind, message = answers.pop(number)
            if kind == CMD_STATUS:
                self._convert_status(message)  # type: ignore[attr-defined]
            block = message.get_string()
            yield block
            if len(block) < length:  # a server may give less than it is asked for
                asked.appendleft(ask(start + len(block), length - len(block)))

    def _request(self, kind: int, *args: object) -> tuple[int, paramiko.Message]:
        answer, message = super()._request(kind, *args)  # type: ignore[misc]  # not in the stubs
        if answer == CMD_NAME:
            message.get_text = lambda: message.get_string().decode(errors="surrogateescape")
        return answer, message


def transport_of(client: paramiko.SSHClient | None) -> paramiko.Transport:
    """Return the transport of a connected client."""
    assert client is not None
    transport = client.get_transport()
    assert transport is not None
    return transport


def reason(error: Exception) -> str:
    """Return what an error says, in words."""
    return getattr(error, "strerror", None) or str(error).removeprefix("[Errno None] ") or type(error).__name__


def is_safe(name: str) -> bool:
    """Return whether a name from the server can be used as a file name here, and only as that."""
    return "/" not in name and name[0] != "." and name.isprintable() and len(name.encode()) <= NAME_LIMIT


def connect(settings: Settings) -> paramiko.SSHClient:
    """Return a connection to a server whose host key is pinned, logged in."""
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(RefuseUnknown(settings))
    load_host_keys(client, settings.sftp_known_hosts)
    try:
        client.connect(
            settings.sftp_host,
            settings.sftp_port,
            timeout=TIMEOUT,
            banner_timeout=TIMEOUT,
            auth_timeout=TIMEOUT,
            channel_timeout=TIMEOUT,
            auth_strategy=Logins(settings),
        )
    except paramiko.BadHostKeyException as error:
        client.close()
        raise StageError(
            Status.SFTP,
            f"the host key of {settings.sftp_host} has changed to {error.key.get_name()} {error.key.fingerprint}.",
            f"somebody may be in between; only if its owner confirms the key, replace it in {settings.sftp_known_hosts}.",
        ) from error
    except BaseException:
        client.close()
        raise
    return client


def load_host_keys(client: paramiko.SSHClient, path: Path) -> None:
    """Load the pinned host keys, if there are any, or raise StageError."""
    try:
        if path.exists():
            client.load_system_host_keys(str(path))
    except (OSError, UnicodeDecodeError, paramiko.SSHException, InvalidHostKey) as error:
        raise StageError(
            Status.SETTINGS,
            f"SFTP_KNOWN_HOSTS {path} cannot be used: {error}.",
            "give it a file of its own with plain keys.",
        ) from error


class RefuseUnknown(paramiko.MissingHostKeyPolicy):
    """Refuse a host key that nobody has pinned, and say how to pin it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise StageError with the fingerprint."""
        host, port = self._settings.sftp_host, self._settings.sftp_port
        raise StageError(
            Status.SFTP,
            f"the host key of {host} is unknown: {key.get_name()} {key.fingerprint}.",
            f"if its owner confirms that fingerprint: ssh-keyscan -p {port} {host} >> {self._settings.sftp_known_hosts}",
        )


class Logins(AuthStrategy):
    """The ways to log in, in order: key, password, none (contract section 5)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._settings = settings

    def get_sources(self) -> Iterator[AuthSource]:
        """Yield the ways that the settings allow."""
        user, key_file, password = self._settings.sftp_user, self._settings.sftp_key_file, self._settings.sftp_password
        if key_file:
            yield InMemoryPrivateKey(user, read_key(str(key_file)))
        if password:
            yield Password(user, password.get_secret_value)
        yield NoneAuth(user)


def read_key(path: str) -> paramiko.PKey:
    """Return the private key, or raise StageError if it cannot be used."""
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise StageError(
            Status.SETTINGS, f"SFTP_KEY_FILE {path} cannot be used: {error}.", "it must be a private key without passphrase."
        ) from error

"""The SFTP server: the one door to it."""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import NamedTuple

import paramiko
from paramiko.auth_strategy import AuthFailure

import ssh
from outage import Outage, watchdog
from settings import Settings
from ssh import Client, connect, transport_of
from trouble import StageError, Status

SLOWEST = 10_000  # bytes per second; a transfer that is slower on the whole hangs
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
        with self._session(ssh.TIMEOUT + source.size / SLOWEST) as sftp:
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
    def _session(self, seconds: float = 4 * ssh.TIMEOUT) -> Iterator["Client"]:
        """Give the SFTP session for so long; raise Outage or StageError for what the server or the path to it cannot do."""
        try:
            if self._client is None or self._sftp is None:
                self._client = connect(self._settings)
                self._sftp = Client.from_transport(transport_of(self._client), window_size=WINDOW)
                assert self._sftp is not None
                self._sftp.get_channel().settimeout(ssh.TIMEOUT)  # type: ignore[union-attr]  # set by open_sftp
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


def reason(error: Exception) -> str:
    """Return what an error says, in words."""
    return getattr(error, "strerror", None) or str(error).removeprefix("[Errno None] ") or type(error).__name__


def is_safe(name: str) -> bool:
    """Return whether a name from the server can be used as a file name here, and only as that."""
    return "/" not in name and name[0] != "." and name.isprintable() and len(name.encode()) <= NAME_LIMIT

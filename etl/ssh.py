"""A connection over SSH: host keys pinned, logins in order, and an SFTP client that reads ahead."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey, NoneAuth, Password
from paramiko.hostkeys import InvalidHostKey
from paramiko.sftp import CMD_NAME, CMD_READ, CMD_STATUS, int64

from settings import Settings
from trouble import StageError, Status

TIMEOUT = 30  # seconds without a word from the server
READ_AHEAD = 128  # requests on their way at once
BLOCK = 1 << 15  # bytes of a request: what every server gives


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

"""A connection over SSH: host keys pinned, and logins in order."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey, NoneAuth, Password
from paramiko.hostkeys import InvalidHostKey

from base.settings import Settings
from base.trouble import StageError, Status

TIMEOUT = 30  # seconds without a word from the server
RECEIVED = 1 << 17  # bytes that are taken at once
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # preferred: the MACs of others are checked in Python


def transport_of(client: paramiko.SSHClient | None) -> paramiko.Transport:
    """Return the transport of a connected client."""
    assert client is not None
    transport = client.get_transport()
    assert transport is not None
    return transport


class Prompt(socket.socket):
    """A socket on which neither side waits 40 ms for more to send, or for more to acknowledge.

    What has come is taken at once: paramiko asks for the head of each packet, then for its body.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(fileno=sock.detach())
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(RECEIVED))
        self._unread = self._buffer[:0]

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        if not self._unread:
            self._unread = self._buffer[: self.recv_into(self._buffer, 0, flags)]
        block, self._unread = bytes(self._unread[:size]), self._unread[size:]
        return block

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send, and acknowledge at once what comes back: whoever sends puts the system back to waiting."""
        sent = super().send(data, flags)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return sent


def transport(sock: Any, /, **kwargs: Any) -> paramiko.Transport:
    """Return a transport that prefers CIPHERS and does not wait for more."""
    made = paramiko.Transport(Prompt(sock), **kwargs)
    options = made.get_security_options()
    options.ciphers = (*CIPHERS, *(cipher for cipher in options.ciphers if cipher not in CIPHERS))
    return made


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
            transport_factory=transport,
        )
    except paramiko.BadHostKeyException as error:
        disconnect(client)
        raise StageError(
            Status.SFTP,
            f"the host key of {settings.sftp_host} has changed to {error.key.get_name()} {error.key.fingerprint}.",
            f"somebody may be in between; only if its owner confirms the key, replace it in {settings.sftp_known_hosts}.",
        ) from error
    except BaseException:
        disconnect(client)
        raise
    return client


def disconnect(client: paramiko.SSHClient) -> None:
    """End a connection, and with it paramiko's thread, which would see it up to 0.1 s later; wait up to TIMEOUT for that.

    The thread has ended when the system says so: ``join`` comes back before, when it still holds locks of OpenSSL's on
    its way out. A process that is forked then has them locked for ever.
    """
    if transport := client.get_transport():
        cut(client)
        client.close()
        thread = Path(f"/proc/self/task/{transport.native_id}")
        deadline = time.monotonic() + TIMEOUT
        while thread.exists() and time.monotonic() < deadline:
            time.sleep(0.001)


def cut(client: paramiko.SSHClient) -> None:
    """Break a connection under whatever waits on it; the rest is ``disconnect``'s."""
    if transport := client.get_transport():
        with suppress(OSError):  # it is gone already
            transport.sock.shutdown(socket.SHUT_RDWR)


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

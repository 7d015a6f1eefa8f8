"""A connection over SSH: host keys pinned, logins in order, and an SFTP client that reads ahead."""

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey, NoneAuth, Password
from paramiko.hostkeys import InvalidHostKey
from paramiko.sftp import CMD_DATA, CMD_EXTENDED, CMD_EXTENDED_REPLY, CMD_NAME, CMD_READ, CMD_STATUS, int64

from settings import Settings
from trouble import StageError, Status

TIMEOUT = 30  # seconds without a word from the server
MOST_REQUESTS = 64  # on their way at once
MOST_BYTES = 1 << 21  # asked for at once; more only waits in buffers, and those get slow
BLOCK = 1 << 15  # bytes of an answer: what every server gives
LARGEST_BLOCK = 1 << 18  # bytes; OpenSSH gives a little less
LIMITS = "limits@openssh.com"  # the request by which a server says how much it gives
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # preferred: the MACs of others are checked in Python

Answer = tuple[int, paramiko.Message]  # its kind and its content


class Request(NamedTuple):
    """What the server is asked for."""

    name: str  # of the file that it is about
    kind: int
    arguments: tuple[Any, ...]
    size: int = 0  # bytes of a file that the answer may hold


class Answers(dict[int, Answer]):
    """The answers that have come, by request number, until they are taken."""

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self[number] = kind, message


class Client(paramiko.SFTPClient):
    """paramiko's client, with two ways of our own.

    A name or a message that is not UTF-8 ends nothing. And many requests are on their way at once:
    paramiko waits for the answer to each, but for ``SFTPFile.prefetch``, whose thread may fall behind
    the server, and then the rest of the file is pulled twice, once of it into the memory.
    """

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        """Yield every request with its answer, in order."""
        answers, asked = Answers(), deque[tuple[int, Request]]()
        coming = iter(requests)
        size = 0
        while True:
            while len(asked) < MOST_REQUESTS and size < MOST_BYTES and (request := next(coming, None)):
                asked.append((self._sent(answers, request), request))
                size += request.size
            if not asked:
                return
            number, request = asked.popleft()
            size -= request.size
            while number not in answers:
                self._read_response()  # type: ignore[attr-defined]  # none of these is in the stubs
            yield request, answers.pop(number)

    def _sent(self, answers: Answers, request: Request) -> int:
        """Send a request and return its number."""
        try:
            number: int = self._async_request(answers, request.kind, *request.arguments)  # type: ignore[attr-defined]
        except EOFError as error:  # the connection's end, which must not be taken for a file's
            raise paramiko.SSHException("the connection broke") from error
        return number

    def content(self, answer: Answer, wanted: int = CMD_STATUS) -> paramiko.Message:
        """Return what an answer holds; raise OSError, or EOFError, if it is that the server cannot do it."""
        kind, message = answer
        if kind == CMD_STATUS:
            self._convert_status(message)
        if kind != wanted:
            raise paramiko.SFTPError(f"an answer of kind {kind} instead of {wanted}")
        return message

    @cached_property
    def block(self) -> int:
        """The bytes that the server gives in one answer."""
        kind, message = self.only(Request("", CMD_EXTENDED, (LIMITS,)))
        if kind != CMD_EXTENDED_REPLY:
            return BLOCK
        message.get_int64()  # bytes of a packet
        return min(message.get_int64() or BLOCK, LARGEST_BLOCK)

    def reads(self, name: str, handle: bytes, size: int) -> Iterator[Request]:
        """Yield the requests for the first ``size`` bytes of an open file."""
        for start in range(0, size, self.block):
            length = min(self.block, size - start)
            yield Request(name, CMD_READ, (handle, int64(start), length), length)

    def only(self, request: Request) -> Answer:
        """Return the answer to one request."""
        ((_, answer),) = self.ask([request])
        return answer

    def blocks(self, request: Request, answer: Answer) -> Iterator[bytes]:
        """Yield the bytes of a request of ``reads``: in one block, or in more if the server gives less than it is asked for."""
        handle, start, length = request.arguments
        with suppress(EOFError):
            while block := self.content(answer, CMD_DATA).get_string():
                yield block
                start, length = int64(start + len(block)), length - len(block)
                if length <= 0:
                    break
                answer = self.only(Request(request.name, CMD_READ, (handle, start, length)))

    def _convert_status(self, message: paramiko.Message) -> None:
        message.get_text = lambda: message.get_string().decode(errors="replace")  # type: ignore[method-assign]
        super()._convert_status(message)  # type: ignore[misc]  # not in the stubs

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


def transport(sock: Any, /, **kwargs: Any) -> paramiko.Transport:
    """Return a transport that prefers CIPHERS and sends at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small requests wait 40 ms for each other
    made = paramiko.Transport(sock, **kwargs)
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

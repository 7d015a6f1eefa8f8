"""What this program changes inside paramiko: the only module that touches paramiko's private names.

tests/sftp/test_transport.py has a test for each of the changes, which fails if another version of paramiko undoes it.
"""

# mypy: disable-error-code="attr-defined, has-type, misc, name-defined"
# paramiko's stubs leave out what is private, and ServiceRequestingTransport.

import socket
import threading
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST
from paramiko.kex_curve25519 import KexCurve25519

CIPHERS = (  # no CBC, no 3DES; GCM is preferred: Python checks the MACs of the others
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")  # no MD5, no SHA-1
CURVE25519 = "curve25519-sha256"  # RFC 8731's name; paramiko knows the older one, with @libssh.org

RECEIVED = 1 << 18  # bytes that are taken from the system at once

Finish = Callable[[paramiko.Message], object]


class PromptSocket(socket.socket):
    """A socket that asks the system seldom, and on which no side waits 40 ms for more to send or to acknowledge."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(fileno=plain.detach())
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ahead = bytearray()  # received, and not yet asked for

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive all that has come and give it bit by bit: paramiko asks twice for each packet, however small."""
        if not self._ahead:
            self._ahead += super().recv(RECEIVED)
        found = bytes(self._ahead[:size])
        del self._ahead[:size]
        return found

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send, and have the system acknowledge the answer at once: every send sets this back."""
        sent = super().send(data, flags)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return sent


class LoginHandler(AuthOnlyHandler):
    """The login. paramiko's waits for an answer only after it has sent the request, and misses a quick answer for 30 s."""

    def send_auth_request(self, username: str, method: str, finish_message: Finish | None = None) -> list[str]:
        """Send a request and return what the server wants besides: nothing if we are in; raise what the server answers else."""
        self.auth_method, self.username = method, username
        message = paramiko.Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        for field in (username, "ssh-connection", method):
            message.add_string(field)
        if finish_message:
            finish_message(message)
        self.auth_event = threading.Event()
        self.transport.saved_exception = None  # of the request before
        self.transport._send_message(message)
        try:
            wanted: list[str] = self.wait_for_response(self.auth_event)
        except paramiko.AuthenticationException as error:
            if not self.auth_event.is_set():
                raise TimeoutError("no answer to the login") from error
            raise
        return wanted


class Transport(paramiko.ServiceRequestingTransport):
    """A connection that asks for the login service once, offers no weak cipher, and remembers what the server offers."""

    _kex_info = paramiko.Transport._kex_info | {CURVE25519: KexCurve25519}
    _preferred_kex = (CURVE25519, *(name for name in paramiko.Transport._preferred_kex if not name.endswith("sha1")))
    _preferred_ciphers = CIPHERS
    _preferred_macs = MACS

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(PromptSocket(plain))
        self.offered: dict[str, list[str]] = {}  # what the server offers, by kind; empty before it has said so
        self._accepted = threading.Event()

    def _really_parse_kex_init(self, m: paramiko.Message, ignore_first_byte: bool = False) -> Any:
        parsed = super()._really_parse_kex_init(m, ignore_first_byte)
        self.offered = {kind: list(names) for kind, names in parsed.items() if isinstance(names, list)}
        return parsed

    def _parse_service_accept(self, m: paramiko.Message) -> None:
        super()._parse_service_accept(m)
        self._accepted.set()

    def get_auth_handler(self) -> LoginHandler:
        """Return our login."""
        return LoginHandler(self)

    def ensure_session(self) -> None:
        """Ask for the login service, once; raise SSHException if the server does not give it."""
        if self.auth_handler is None:
            message = paramiko.Message()
            message.add_byte(cMSG_SERVICE_REQUEST)
            message.add_string("ssh-userauth")
            self._send_message(message)
            deadline = self.auth_timeout
            while not self._accepted.wait(0.05):
                deadline -= 0.05
                if not self.is_active() or deadline < 0:
                    raise self.get_exception() or EOFError("the connection broke during the login")
            self.auth_handler = self.get_auth_handler()

    def prefer_key_types(self, first: list[str]) -> None:
        """Ask the server for a host key of one of these types, if it has one."""
        rest = [name for name in self._preferred_keys if name not in first]
        self._preferred_keys = (*(name for name in self._preferred_keys if name in first), *rest)


def protection_of(transport: paramiko.Transport) -> str:
    """Return what protects a connection after its login, in a few words."""
    assert transport.host_key is not None  # it was verified
    return f"{transport.host_key.get_name()} key pinned, {transport.remote_cipher.partition('@')[0]}"

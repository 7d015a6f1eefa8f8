"""A quirky SFTP server on the loopback: quirks.py names the quirks, paramiko speaks SSH, quirky_sftp.py SFTP."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import paramiko
from paramiko import Message
from paramiko.auth_handler import AuthHandler
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.server import InteractiveQuery

from kit.quirks import Quirks
from kit.quirky_sftp import Session

HOST = "127.0.0.1"
USER = "visitas"
PASSWORD = "open sesame"


class QuirkyServer:
    """The server: it serves one folder under its own path, and remembers what it was asked."""

    def __init__(self, folder: Path, served: Path, quirks: Quirks) -> None:
        """Make the server. Its keys lie in ``folder``; ``served`` is the folder of the reports."""
        self.folder, self.served, self.quirks = folder, served, quirks
        self.host_key: paramiko.PKey = paramiko.ECDSAKey.generate()
        user_key = paramiko.ECDSAKey.generate()
        user_key.write_private_key_file(str(folder / "user_key"))
        self.users_keys: set[bytes] = {user_key.asbytes()}  # that it lets in
        self.requests: list[str] = []  # every request, as ``on`` names it, in the order in which they came
        self.logins: list[str] = []  # the methods that were tried
        self.grown: dict[str, bytes] = {}  # the last content of files that grew
        self.spent: Counter[str] = Counter()  # how often each line of ``on`` has struck
        self._transports: list[paramiko.Transport] = []
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        (folder / "known_hosts").write_text(f"[{HOST}]:{self.port} {self.pin()}\n")

    @property
    def connections(self) -> int:
        """The number of connections that were made so far."""
        return len(self._transports)

    def pin(self) -> str:
        """Return the host key as known_hosts has it, behind the name of the host."""
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"

    def settings(self) -> dict[str, str]:
        """The settings of a client that has all that it may ask for."""
        return {
            "SFTP_HOST": HOST,
            "SFTP_PORT": str(self.port),
            "SFTP_USER": USER,
            "SFTP_KEY_FILE": str(self.folder / "user_key"),
            "SFTP_PASSWORD": PASSWORD,
            "SFTP_KNOWN_HOSTS": str(self.folder / "known_hosts"),
            "SFTP_REMOTE_DIR": str(self.served),
        }

    def start(self) -> None:
        """Take connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and take no more."""
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._thread.join()
        self._listener.close()
        for transport in self._transports:
            transport.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                connection, _ = self._listener.accept()
                self._transports.append(transport := Quirky(connection, self))
                threading.Thread(target=transport.greet, daemon=True).start()


@contextmanager
def serving(folder: Path, served: Path, quirks: Quirks) -> Iterator[QuirkyServer]:
    """Give a running server; its keys lie in ``folder``, which is made."""
    folder.mkdir()
    server = QuirkyServer(folder, served, quirks)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Quirky(paramiko.Transport):
    """The server's side of one connection."""

    _kex_info: ClassVar[dict[str, Any]] = {
        **paramiko.Transport._kex_info,  # type: ignore[attr-defined]  # not in the stubs
        "curve25519-sha256": KexCurve25519,  # RFC 8731's name, which paramiko lacks
    }

    def __init__(self, connection: socket.socket, server: QuirkyServer) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connection)
        self._connection, self._server = connection, server
        quirks = server.quirks
        self.add_server_key(server.host_key)
        if quirks.kex:
            self._preferred_kex = quirks.kex
        if quirks.ciphers:
            self._preferred_ciphers = quirks.ciphers
        if quirks.macs:
            self._preferred_macs = quirks.macs
        if quirks.key_types:
            self._preferred_keys = quirks.key_types
            self.server_key_dict.update(dict.fromkeys(quirks.key_types, server.host_key))
        self.auth_handler = Login(self)
        if quirks.has_sftp:
            self.set_subsystem_handler("sftp", Session, server)

    def greet(self) -> None:
        """Begin the conversation; whoever cannot go on with it is let go."""
        with suppress(paramiko.SSHException, EOFError, OSError):
            self._connection.sendall(self._server.quirks.preamble)
            self.start_server(server=Doorman(self._server))


class Doorman(paramiko.ServerInterface):
    """Decide who gets in."""

    def __init__(self, server: QuirkyServer) -> None:
        self._server = server
        self._ways = [way.split(",") for way in server.quirks.methods.split()]  # what each way in still needs
        self.service_requests = 0
        self._empty_question = server.quirks.empty_question

    def get_banner(self) -> tuple[str, str]:
        """Show the banner."""
        return self._server.quirks.banner, "en"

    def get_allowed_auths(self, _username: str) -> str:
        """Name the methods that come next."""
        return ",".join(dict.fromkeys(way[0] for way in self._ways))

    def passed(self, method: str) -> int:
        """Return whether a login with a method that went well is enough."""
        left = [way[1:] for way in self._ways if way[0] == method]
        if [] in left:
            return AUTH_SUCCESSFUL
        self._ways = left
        return AUTH_PARTIALLY_SUCCESSFUL

    def _judge(self, method: str, good: bool) -> int:
        self._server.logins.append(method)
        time.sleep(self._server.quirks.login_seconds)
        return AUTH_SUCCESSFUL if good and any(way[0] == method for way in self._ways) else AUTH_FAILED

    def check_auth_none(self, _username: str) -> int:
        """Need nothing."""
        return self._judge("none", True)

    def check_auth_password(self, _username: str, password: str) -> int:
        """Need the password."""
        return self._judge("password", password == PASSWORD)

    def check_auth_publickey(self, _username: str, key: paramiko.PKey) -> int:
        """Need a key that is known."""
        return self._judge("publickey", key.asbytes() in self._server.users_keys)

    def check_auth_interactive(self, _username: str, _submethods: str) -> int | InteractiveQuery:
        """Ask the questions."""
        if self._judge("keyboard-interactive", True) == AUTH_FAILED:
            return AUTH_FAILED
        query = InteractiveQuery("Login", "Please answer.")
        for question in self._server.quirks.questions:
            query.add_prompt(question, echo=False)
        return query

    def check_auth_interactive_response(self, responses: list[str]) -> int | InteractiveQuery:
        """Look at the answers: a password where one is asked for, and whatever nobody knows elsewhere."""
        if not responses and not self._empty_question:
            return AUTH_SUCCESSFUL
        questions = self._server.quirks.questions
        good = responses == [PASSWORD if "password" in question.lower() else "123456" for question in questions]
        if good and self._empty_question:
            self._empty_question = False
            return InteractiveQuery()
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, _chanid: int) -> int:
        """Open sessions only."""
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Login(AuthHandler):
    """paramiko's side of the login, where the wire has to differ."""

    def _parse_service_request(self, message: Message) -> None:
        doorman = self.transport.server_object
        assert isinstance(doorman, Doorman)
        doorman.service_requests += 1
        if doorman.service_requests > doorman._server.quirks.service_requests:
            self.transport.close()
        else:
            super()._parse_service_request(message)  # type: ignore[misc]  # not in the stubs

    def _send_auth_result(self, username: str, method: str, result: int) -> None:
        doorman = self.transport.server_object
        assert isinstance(doorman, Doorman)
        if result == AUTH_SUCCESSFUL:  # of this method: its signature is checked by now
            result = doorman.passed(method)
        super()._send_auth_result(username, method, result)  # type: ignore[misc]  # not in the stubs

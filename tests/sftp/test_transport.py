"""What this program changes inside paramiko: a test for each change, which fails if another version of paramiko undoes it."""

import ast
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import paramiko
import pytest
from paramiko.ssh_exception import BadAuthenticationType, IncompatiblePeer

from kit.quirks import Quirks
from kit.quirky import PASSWORD, USER, Login, QuirkyServer, serving
from kit.servers import ETL, OpenSSH
from sftp.known_hosts import RSA_SIGNATURES
from sftp.transport import CIPHERS, CURVE25519, MACS, PromptSocket, Transport

STALL = 30  # seconds that paramiko waits for an answer that it has missed
PROMPT = 15  # seconds; a login takes a tenth of one, and a machine may be ten times slower
KEX_INIT = 20
WEAK = re.compile("3des|cbc|arcfour|md5|sha1|dss|ssh-rsa|group1-")
PRIVATE = re.compile("_[^_]")


@contextmanager
def greeted(port: int, kind: type[Transport] = Transport) -> Iterator[Transport]:
    """Give a connection that is not logged in."""
    with closing(kind(socket.create_connection(("127.0.0.1", port), STALL))) as transport:
        transport.banner_timeout = transport.auth_timeout = STALL
        transport.start_client(timeout=STALL)
        yield transport


@contextmanager
def quirky(folder: Path, quirks: Quirks, kind: type[Transport] = Transport) -> Iterator[tuple[Transport, QuirkyServer]]:
    """Give a connection to a quirky server that is not logged in."""
    with serving(folder / "server", folder, quirks) as server, greeted(server.port, kind) as transport:
        yield transport, server


def user_key(server: QuirkyServer | OpenSSH) -> paramiko.PKey:
    return paramiko.PKey.from_path(server.folder / "user_key")


def log_in(transport: Transport, openssh: OpenSSH) -> None:
    assert transport.auth_publickey(openssh.settings()["SFTP_USER"], user_key(openssh)) == []


# The socket.


@pytest.fixture
def peers() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with near, far:
        yield near, far


def acknowledges_at_once(near: socket.socket, far: socket.socket) -> bool:
    """Return whether a socket still does after some questions, each with its answer."""
    for _ in range(20):
        near.send(b"question")
        far.recv(100)
        far.send(b"answer")
        near.recv(100)
    near.send(b"question")
    return bool(near.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))


def test_a_socket_on_which_nobody_waits(peers: tuple[socket.socket, socket.socket]) -> None:
    near, far = peers
    assert not acknowledges_at_once(near, far)  # or there is nothing left to change
    with PromptSocket(near) as prompt:
        assert prompt.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert acknowledges_at_once(prompt, far)
        assert near.fileno() == -1  # it has one owner


def test_all_that_has_come_is_received_at_once(peers: tuple[socket.socket, socket.socket]) -> None:
    near, far = peers
    with PromptSocket(near) as prompt:
        far.sendall(b"abcdefgh")
        assert prompt.recv(1) == b"a"
        with socket.socket(fileno=os.dup(prompt.fileno())) as bare, pytest.raises(BlockingIOError):
            bare.recv(1, socket.MSG_DONTWAIT)  # nothing is left in the system
        assert (prompt.recv(3), prompt.recv(100)) == (b"bcd", b"efgh")
        far.close()
        assert prompt.recv(1) == b""


def test_paramiko_sends_and_receives_by_that_socket(openssh: OpenSSH) -> None:
    sent, received = [], []

    class Watched(Transport):
        def __init__(self, plain: socket.socket) -> None:
            super().__init__(plain)
            send, receive = self.sock.send, self.sock.recv
            self.sock.send = lambda data: sent.append(len(data)) or send(data)
            self.sock.recv = lambda size: received.append(size) or receive(size)

    with greeted(openssh.port, Watched) as transport:
        log_in(transport, openssh)
        assert isinstance(transport.sock, PromptSocket)
        before = sum(sent), len(received)
        transport.global_request("keepalive@openssh.com", wait=True)
        assert sum(sent) > before[0]
        assert len(received) > before[1]
        assert transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)


# What it offers, and what the server offers.


def name_lists(connect: Callable[[int], Transport]) -> list[list[str]]:
    """Return what a client offers: key exchanges, types of host key, ciphers and MACs of each way, in the order of the packet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = connect(listener.getsockname()[1])
        greeting = threading.Thread(target=start, args=[transport])
        greeting.start()
        with listener.accept()[0] as far, far.makefile("rb") as stream:
            far.sendall(b"SSH-2.0-Listener\r\n")
            assert stream.readline().startswith(b"SSH-2.0-")
            size = int.from_bytes(stream.read(4))
            message = paramiko.Message(stream.read(size)[1:])  # behind the length of the padding
            assert message.get_bytes(1)[0] == KEX_INIT
            message.get_bytes(16)
            lists = [message.get_list() for _ in range(6)]
        greeting.join(STALL)
        transport.close()
    return lists


def start(transport: Transport) -> None:
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        transport.start_client(timeout=STALL)


def test_what_is_offered() -> None:
    def connect(port: int) -> Transport:
        transport = Transport(socket.create_connection(("127.0.0.1", port), STALL))
        transport.prefer_key_types(["ecdsa-sha2-nistp256", *RSA_SIGNATURES])
        return transport

    kex, key_types, *both_ways = name_lists(connect)
    assert kex[0] == CURVE25519
    assert set(paramiko.Transport._preferred_kex) < set(kex)  # type: ignore[attr-defined]
    assert set(key_types[:3]) == {"ecdsa-sha2-nistp256", *RSA_SIGNATURES}
    assert set(key_types) >= set(paramiko.Transport._preferred_keys)  # type: ignore[attr-defined]
    assert not any("cert" in name for name in key_types[:4])  # a server that has a certificate too shows its plain key
    assert [*map(tuple, both_ways)] == [CIPHERS, CIPHERS, MACS, MACS]
    assert set(CIPHERS) <= set(paramiko.Transport._preferred_ciphers)  # type: ignore[attr-defined]
    assert set(MACS) <= set(paramiko.Transport._preferred_macs)  # type: ignore[attr-defined]
    for name in (*kex, *key_types, *CIPHERS, *MACS):
        assert not WEAK.search(name)
    for names in (kex, key_types):
        assert len(names) == len(set(names))


def test_what_is_agreed_with_openssh(openssh: OpenSSH) -> None:
    with greeted(openssh.port) as transport:
        assert (transport.local_cipher, transport.remote_cipher) == (CIPHERS[0], CIPHERS[0])


def test_the_key_exchange_of_rfc_8731_alone(tmp_path: Path) -> None:
    with quirky(tmp_path, Quirks(kex=(CURVE25519,))) as (transport, _):
        assert transport.is_active()


def test_what_the_server_offers_is_remembered(openssh: OpenSSH) -> None:
    with greeted(openssh.port) as transport:
        log_in(transport, openssh)
        assert CURVE25519 in transport.offered["kex_algo_list"]
        assert set(transport.offered["kex_algo_list"]) - set(transport._preferred_kex)  # the server's, not ours
        assert transport.offered["server_key_algo_list"] == ["ssh-ed25519"]
        transport.renegotiate_keys()
        assert set(transport.offered["kex_algo_list"]) - set(transport._preferred_kex)


@pytest.mark.parametrize(
    ("quirks", "kind", "offered"),
    [
        (Quirks(kex=("diffie-hellman-group1-sha1",)), "kex_algo_list", ["diffie-hellman-group1-sha1"]),
        (Quirks(ciphers=("rijndael-cbc@lysator.liu.se",)), "server_encrypt_algo_list", ["rijndael-cbc@lysator.liu.se"]),
        (Quirks(ciphers=("3des-cbc", "aes256-cbc")), "server_encrypt_algo_list", ["3des-cbc", "aes256-cbc"]),
        (Quirks(macs=("hmac-md5", "hmac-sha1")), "server_mac_algo_list", ["hmac-md5", "hmac-sha1"]),
        (Quirks(key_types=("ssh-dss",)), "server_key_algo_list", ["ssh-dss"]),
    ],
    ids=["key exchange", "cipher", "weak ciphers", "weak MACs", "host key"],
)
def test_what_the_server_offers_is_remembered_if_nothing_fits(
    tmp_path: Path, quirks: Quirks, kind: str, offered: list[str]
) -> None:
    with (
        serving(tmp_path / "server", tmp_path, quirks) as server,
        closing(Transport(socket.create_connection(("127.0.0.1", server.port), STALL))) as transport,
    ):
        with pytest.raises(IncompatiblePeer):
            transport.start_client(timeout=STALL)
        named = [name for name in transport.offered[kind] if not name.startswith(("ext-info", "kex-strict"))]
        assert named == offered


# The login.


def test_a_quick_answer_is_not_missed(tmp_path: Path) -> None:
    for attempt in range(20):
        (folder := tmp_path / str(attempt)).mkdir()
        with quirky(folder, Quirks(methods="publickey,password")) as (transport, server):
            began = time.monotonic()
            assert transport.auth_publickey(USER, user_key(server)) == ["password"]
            assert transport.auth_password(USER, PASSWORD, fallback=False) == []
            assert time.monotonic() - began < PROMPT
            assert transport.is_authenticated()


def test_an_answer_that_comes_before_the_request_is_sent_to_its_end(tmp_path: Path) -> None:
    """The quickest answer that there can be."""

    class Slow(Transport):
        def _send_message(self, data: paramiko.Message) -> None:
            super()._send_message(data)
            if data.asbytes()[0] in (5, 50):  # SERVICE_REQUEST, USERAUTH_REQUEST
                time.sleep(1)

    with quirky(tmp_path, Quirks(methods="publickey"), Slow) as (transport, server):
        began = time.monotonic()
        assert transport.auth_publickey(USER, user_key(server)) == []
        assert time.monotonic() - began < PROMPT


def test_the_service_is_asked_for_once(tmp_path: Path) -> None:
    with quirky(tmp_path, Quirks(methods="password", service_requests=1)) as (transport, server):
        with pytest.raises(BadAuthenticationType):
            transport.auth_publickey(USER, user_key(server))
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_password(USER, "wrong", fallback=False)
        assert transport.auth_password(USER, PASSWORD, fallback=False) == []
        assert server.logins == ["publickey", "password", "password"]
        (near,) = server._transports
        assert near.server_object.service_requests == 1


def test_a_server_that_refuses_the_service(tmp_path: Path) -> None:
    """paramiko alone waits for ever."""
    with quirky(tmp_path, Quirks(service_requests=0)) as (transport, _):
        began = time.monotonic()
        with pytest.raises((EOFError, paramiko.SSHException)):
            transport.auth_none(USER)
        assert time.monotonic() - began < PROMPT


def test_a_server_that_is_silent_about_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """paramiko alone waits for ever."""
    monkeypatch.setattr(Login, "_parse_service_request", lambda self, message: None)
    with quirky(tmp_path, Quirks()) as (transport, _):
        transport.auth_timeout = 0.5
        with pytest.raises((EOFError, paramiko.SSHException)):
            transport.auth_none(USER)


def test_a_server_that_never_answers_the_login(tmp_path: Path) -> None:
    with quirky(tmp_path, Quirks(login_seconds=10)) as (transport, server):
        transport.ensure_session()
        transport.auth_timeout = 0.5
        with pytest.raises(TimeoutError, match="no answer to the login"):
            transport.auth_publickey(USER, user_key(server))


def test_what_went_wrong_before_is_not_the_answer(tmp_path: Path) -> None:
    with quirky(tmp_path, Quirks(methods="password")) as (transport, _):
        transport.ensure_session()
        transport.saved_exception = ValueError("of another request")
        with pytest.raises(paramiko.AuthenticationException, match="failed"):
            transport.auth_password(USER, "wrong", fallback=False)


@pytest.mark.parametrize(
    ("methods", "answer"),
    [
        ("none", lambda transport: transport.auth_none(USER)),
        ("keyboard-interactive", lambda transport: transport.auth_interactive(USER, lambda *_: [PASSWORD])),
    ],
)
def test_other_methods(tmp_path: Path, methods: str, answer: Callable[[Transport], list[str]]) -> None:
    with quirky(tmp_path, Quirks(methods=methods)) as (transport, _):
        assert answer(transport) == []
        assert transport.is_authenticated()


def test_a_login_at_openssh(openssh: OpenSSH) -> None:
    with greeted(openssh.port) as transport:
        with pytest.raises(BadAuthenticationType):
            transport.auth_none(openssh.settings()["SFTP_USER"])
        log_in(transport, openssh)


def test_no_other_module_touches_what_is_private() -> None:
    """So this file is all that a new version of paramiko has to pass."""
    for path in {*(ETL / "sftp").glob("*.py")} - {ETL / "sftp" / "transport.py"}:
        attributes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert {ast.unparse(node.value) for node in attributes if PRIVATE.match(node.attr)} <= {"self"}, path

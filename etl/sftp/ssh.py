"""A connection over SSH: host keys pinned, and the login."""

import io
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, IncompatiblePeer

from base import trust
from base.masking import clean
from base.settings import Settings
from base.trouble import StageError, Status
from sftp import known_hosts
from sftp.transport import Transport

ALGORITHM = re.compile(r"[!-~]{1,64}")  # its name: RFC 4251, section 6
TIMEOUT = 30  # seconds without a word from the server
OFFERS = {  # what paramiko says that both sides do not have in common: where the server's offer stands
    "kex": "kex_algo_list",
    "host key": "server_key_algo_list",
    "ciphers": "server_encrypt_algo_list",
    "macs": "server_mac_algo_list",
}


class NoLogin(StageError):
    """A login that waiting cannot help."""

    def __init__(self, fact: str, hint: str) -> None:
        super().__init__(Status.SFTP, fact, hint)


def connect(settings: Settings) -> Transport:
    """Return a connection to a server whose host key is pinned, logged in.

    Raise StageError for what waiting cannot heal; OSError, EOFError or SSHException for the rest.
    """
    host, port = settings.sftp_host, settings.sftp_port
    pinned = known_hosts.read(settings.sftp_known_hosts, host, port)
    transport = Transport(socket.create_connection((host, port), TIMEOUT))
    transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = TIMEOUT
    try:
        transport.prefer_key_types(pinned.types)
        try:
            transport.start_client(timeout=TIMEOUT)
        except IncompatiblePeer as error:
            kind = next((kind for kind in OFFERS if kind in str(error)), "kex")
            names = filter(ALGORITHM.fullmatch, transport.offered.get(OFFERS[kind], []))
            offers = ", ".join(name.partition("@")[0] for name in names) or "words that are no names"
            raise NoLogin(
                f"{host} offers no {kind} that this program takes, only {clean(offers)}.",
                "ask the server's owner for a newer server.",
            ) from error
        known_hosts.verify(transport.get_remote_server_key(), pinned, host, port, settings.sftp_known_hosts)
        Login(transport, settings).log_in()
    except BaseException:
        transport.close()
        raise
    return transport


class Login:
    """The login: key first, then password, then none (contract section 5); several of them if the server wants several."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._user, self._host = settings.sftp_user, settings.sftp_host
        self._key = read_key(settings.sftp_key_file) if settings.sftp_key_file else None
        self._password = settings.sftp_password.get_secret_value() if settings.sftp_password else ""
        self._answered = False  # the one question that the password answers
        self._unanswered = ""  # a question that nothing answers

    def log_in(self) -> None:
        """Log in, or raise StageError."""
        ways: dict[str, Callable[[], list[str]]] = {"none": lambda: self._transport.auth_none(self._user)}
        if self._password:
            ways = {"password": self._by_password, "keyboard-interactive": self._by_answer} | ways
        if self._key:
            ways = {"publickey": self._by_key} | ways
        passed: list[str] = []
        untried = allowed = list(ways)  # until the server says what it allows
        while name := next((name for name in untried if name in allowed), None):
            untried = [other for other in untried if other != name]
            try:
                allowed = ways[name]()
            except BadAuthenticationType as error:
                allowed = error.allowed_types
            except AuthenticationException as error:
                if not self._transport.is_active():
                    raise EOFError("the connection broke during the login") from error
            else:
                if not allowed:
                    return
                passed.append(name)  # the server wants more: ways that it did not allow before may do now
                untried = [other for other in ways if other not in passed]
        raise self._refusal(passed, allowed)

    def _by_key(self) -> list[str]:
        return list(self._transport.auth_publickey(self._user, self._key))

    def _by_password(self) -> list[str]:
        return list(self._transport.auth_password(self._user, self._password, fallback=False))

    def _by_answer(self) -> list[str]:
        return list(self._transport.auth_interactive(self._user, self._answers))

    def _answers(self, _title: str, _instructions: str, questions: list[tuple[str, bool]]) -> list[str]:
        """Return the answers to the server's questions: the password to the first, nothing to any other."""
        answers = []
        for question, _ in questions:
            answers.append("" if self._answered else self._password)
            if self._answered:
                self._unanswered = clean(question.strip())
            self._answered = True
        return answers

    def _refusal(self, passed: list[str], allowed: list[str]) -> StageError:
        """Return what a refused login means to people."""
        if self._unanswered:
            return NoLogin(
                f'{self._host} asks "{self._unanswered}" at the login, and no setting answers that.',
                "ask the server's owner for a login by key, or by key and password.",
            )
        setting = "SFTP_KEY_FILE" if "publickey" in allowed else "SFTP_PASSWORD"
        if passed:
            has, wants = ("key", "password") if setting == "SFTP_PASSWORD" else ("password", "key")
            return NoLogin(
                f"{self._host} takes the {has} of {self._user}, and wants a {wants} too.", f"set {setting}, or correct it."
            )
        return NoLogin(f"{self._host} refuses the login of {self._user}.", "check SFTP_USER, SFTP_KEY_FILE and SFTP_PASSWORD.")


def read_key(path: Path) -> paramiko.PKey:
    """Return the private key in a file of any usual form, or raise StageError if it cannot be used."""
    try:
        data = trust.read("SFTP_KEY_FILE", path)
        try:
            loaded = serialization.load_ssh_private_key(data, None)
        except ValueError:  # not OpenSSH's own form
            loaded = serialization.load_pem_private_key(data, None)  # type: ignore[assignment]  # of more kinds
        plain = loaded.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
        kind: type[paramiko.RSAKey | paramiko.ECDSAKey | paramiko.Ed25519Key] = paramiko.Ed25519Key
        if isinstance(loaded, RSAPrivateKey):
            kind = paramiko.RSAKey
        elif isinstance(loaded, EllipticCurvePrivateKey):
            kind = paramiko.ECDSAKey
        key = kind.from_private_key(io.StringIO(plain))
    except TypeError as error:
        raise StageError(
            Status.SETTINGS,
            f"SFTP_KEY_FILE {path} has a passphrase, which nobody types at night.",
            "make a key without one for this program: ssh-keygen -t ed25519 -N '' -f FILE",
        ) from error
    except OSError as error:
        raise StageError(
            Status.SETTINGS, f"SFTP_KEY_FILE {path} cannot be read: {error.strerror}.", "it must be a file that is yours."
        ) from error
    except (ValueError, UnsupportedAlgorithm, paramiko.SSHException) as error:
        raise StageError(
            Status.SETTINGS, f"SFTP_KEY_FILE {path} holds no private key that this program knows.", "ssh-keygen makes one."
        ) from error
    add_certificate(key, path.with_name(f"{path.name}-cert.pub"))
    return key


def add_certificate(key: paramiko.PKey, path: Path) -> None:
    """Add the certificate that lies beside a key file, if there is one; raise StageError if it does not fit."""
    try:
        if path.exists():
            key.load_certificate(str(path))
    except (ValueError, OSError, paramiko.SSHException) as error:
        raise StageError(
            Status.SETTINGS, f"{path} is no certificate of the key beside it.", "renew the certificate, or remove it."
        ) from error


def cut(transport: Transport) -> None:
    """Break a connection under whatever waits on it."""
    with suppress(OSError):  # it is gone already
        transport.sock.shutdown(socket.SHUT_RDWR)

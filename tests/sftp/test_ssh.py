"""Logins with every kind of key file, and key files that cannot be used: each has a true sentence."""

import base64
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from base.settings import Settings
from base.trouble import StageError, Status
from base.waiting import Outage
from kit.quirks import Quirks
from kit.quirky import serving
from kit.servers import OpenSSH, need
from sftp.ssh import NoLogin, connect, read_key
from sftp.transport import Transport


def keygen(*arguments: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", *arguments], check=True, capture_output=True)


def openssl(*arguments: str | Path) -> None:
    subprocess.run([need("openssl"), *arguments], check=True, capture_output=True)


def by_keygen(*arguments: str, passphrase: str = "") -> Callable[[Path], None]:
    return lambda path: keygen("-N", passphrase, "-f", path, "-C", "a comment", *arguments)


def by_openssl(*arguments: str) -> Callable[[Path], None]:
    """A key in PKCS#8."""
    return lambda path: openssl("genpkey", "-out", path, *arguments)


def converted(*arguments: str) -> Callable[[Path], None]:
    """A key of an openssl command that makes the older PEM."""

    def make(path: Path) -> None:
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path.with_suffix(".first"))
        openssl(*arguments, "-in", path.with_suffix(".first"), "-out", path)

    return make


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A key file of which the bytes are changed."""

    def make_changed(path: Path) -> None:
        keygen("-t", "ed25519", "-N", "", "-f", path)
        path.write_bytes(change(path.read_bytes()))

    return make_changed


EC = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
USABLE: dict[str, Callable[[Path], None]] = {
    "Ed25519": by_keygen("-t", "ed25519"),
    "RSA": by_keygen("-t", "rsa"),
    "EC": by_keygen("-t", "ecdsa"),
    "EC of 384 bits": by_keygen("-t", "ecdsa", "-b", "384"),
    "EC of 521 bits": by_keygen("-t", "ecdsa", "-b", "521"),
    "RSA in PEM, by ssh-keygen": by_keygen("-t", "rsa", "-m", "PEM"),
    "EC in PEM, by ssh-keygen": by_keygen("-t", "ecdsa", "-m", "PEM"),
    "RSA in PKCS#8, by ssh-keygen": by_keygen("-t", "rsa", "-m", "PKCS8"),
    "EC in PKCS#8, by ssh-keygen": by_keygen("-t", "ecdsa", "-m", "PKCS8"),
    "RSA in PKCS#8": by_openssl(*RSA),
    "EC in PKCS#8": by_openssl(*EC),
    "Ed25519 in PKCS#8": by_openssl("-algorithm", "ED25519"),
    "RSA in PEM": converted("rsa", "-traditional"),
    "EC in PEM, with its parameters": lambda path: openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", path),
    "lines of Windows": changed(lambda data: data.replace(b"\n", b"\r\n")),
    "words before the key": changed(lambda data: b"the key of the sender\n" + data),
}


def public_key(path: Path) -> None:
    keygen("-t", "ed25519", "-N", "", "-f", path)
    path.with_suffix(".pub").replace(path)


def security_key(path: Path) -> None:
    """A key whose secret is in a device, as ssh-keygen -t ed25519-sk writes it."""

    def string(*parts: bytes) -> bytes:
        return b"".join(struct.pack(">I", len(part)) + part for part in parts)

    public = string(b"sk-ssh-ed25519@openssh.com", 32 * b"a", b"ssh:")
    secret = 2 * b"same" + public + b"\1" + string(64 * b"x", b"", b"comment")
    secret += bytes(range(1, 1 + -len(secret) % 8))
    content = b"openssh-key-v1\0" + string(b"none", b"none", b"") + struct.pack(">I", 1) + string(public, secret)
    lines = base64.encodebytes(content).decode()
    path.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}-----END OPENSSH PRIVATE KEY-----\n")


PASSPHRASE = "has a passphrase"
NO_KEY = "holds no private key that this program knows"
UNREADABLE = "cannot be read: "
UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "with a passphrase": (by_keygen("-t", "ed25519", passphrase="secret"), PASSPHRASE),
    "RSA in PEM, with a passphrase": (by_keygen("-t", "rsa", "-m", "PEM", passphrase="secret"), PASSPHRASE),
    "RSA in PKCS#8, with a passphrase": (by_openssl(*RSA, "-aes-256-cbc", "-pass", "pass:secret"), PASSPHRASE),
    "EC in PKCS#8, with a passphrase": (by_openssl(*EC, "-aes-256-cbc", "-pass", "pass:secret"), PASSPHRASE),
    "a public key": (
        lambda path: keygen("-t", "ed25519", "-N", "", "-f", path) or path.with_suffix(".pub").replace(path),
        NO_KEY,
    ),
    "garbage": (lambda path: path.write_bytes(b"garbage"), NO_KEY),
    "bytes": (lambda path: path.write_bytes(bytes(range(256))), NO_KEY),
    "empty": (Path.touch, NO_KEY),
    "cut": (changed(lambda data: data[:200]), NO_KEY),
    "cut behind its lines": (changed(lambda data: data[:135] + data[-35:]), NO_KEY),
    "PuTTY's": (lambda path: path.write_text("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"), NO_KEY),
    "in a device": (security_key, NO_KEY),
    "of another kind": (by_openssl("-algorithm", "X25519"), NO_KEY),
    "of a curve that SSH has not": (by_openssl("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"), NO_KEY),
    "missing": (lambda path: None, f"{UNREADABLE}No such file"),
    "a folder": (Path.mkdir, f"{UNREADABLE}Is a directory"),
}


@contextmanager
def logged_in(openssh: OpenSSH, **changed: str) -> Iterator[Transport]:
    settings = {name.lower(): value for name, value in (openssh.settings() | changed).items()}
    transport = connect(Settings(**settings))
    try:
        yield transport
    finally:
        transport.close()


@pytest.mark.parametrize("make", USABLE.values(), ids=USABLE)
def test_a_key_file_that_gets_in(make: Callable[[Path], None], own_openssh: OpenSSH, tmp_path: Path) -> None:
    make(path := tmp_path / "key")
    key = read_key(path)
    (own_openssh.folder / "authorized_keys").write_text(f"{key.get_name()} {key.get_base64()}\n")
    with logged_in(own_openssh, SFTP_KEY_FILE=str(path)) as transport:
        assert transport.is_authenticated()


@pytest.mark.parametrize(("make", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_file_that_cannot_be_used(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    make(path := tmp_path / "key")
    with pytest.raises(StageError) as trouble:
        read_key(path)
    assert trouble.value.status == Status.SETTINGS
    assert str(trouble.value).startswith(f"SFTP_KEY_FILE {path} {words}")


def test_a_certificate_gets_in(own_openssh: OpenSSH, tmp_path: Path) -> None:
    """It lies beside the key, where ssh-keygen puts it."""
    folder, user = own_openssh.folder, own_openssh.settings()["SFTP_USER"]
    own_openssh.stop()
    (folder / "authorized_keys").write_text("")
    with (folder / "sshd_config").open("a") as config:
        config.write(f"TrustedUserCAKeys {folder}/host_key.pub\n")
    own_openssh.start()
    with pytest.raises(StageError, match="refuses the login"), logged_in(own_openssh):
        pass
    keygen("-s", folder / "host_key", "-I", "test", "-n", user, folder / "user_key.pub")
    with logged_in(own_openssh) as transport:
        assert transport.is_authenticated()


@pytest.mark.parametrize("content", [b"garbage", b"", b"ssh-ed25519-cert-v01@openssh.com AAAA\n"])
def test_a_certificate_that_does_not_fit(content: bytes, tmp_path: Path) -> None:
    keygen("-t", "ed25519", "-N", "", "-f", path := tmp_path / "key")
    (tmp_path / "key-cert.pub").write_bytes(content)
    with pytest.raises(StageError, match=r"key-cert\.pub is no certificate of the key beside it") as trouble:
        read_key(path)
    assert trouble.value.status == Status.SETTINGS


def test_a_key_that_is_not_known_there(own_openssh: OpenSSH, tmp_path: Path) -> None:
    """Waiting cannot help: it is no outage."""
    keygen("-t", "ed25519", "-N", "", "-f", path := tmp_path / "key")
    with pytest.raises(NoLogin, match="refuses the login") as trouble, logged_in(own_openssh, SFTP_KEY_FILE=str(path)):
        pass
    assert trouble.value.status == Status.SFTP
    assert not isinstance(trouble.value, Outage)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_host_keys_of_every_kind(own_openssh: OpenSSH, kind: str) -> None:
    """The key that is pinned is asked for, though the server has others that it prefers."""
    folder, host = own_openssh.folder, f"[127.0.0.1]:{own_openssh.port}"
    own_openssh.stop()
    for other in ("rsa", "ecdsa"):
        keygen("-t", other, "-N", "", "-f", folder / other)
        with (folder / "sshd_config").open("a") as config:
            config.write(f"HostKey {folder / other}\n")
    shutil.copy(folder / "host_key.pub", folder / "ed25519.pub")
    own_openssh.start()
    (folder / "known_hosts").write_text(f"{host} {(folder / f'{kind}.pub').read_text()}")
    with logged_in(own_openssh) as transport:
        assert kind in transport.get_remote_server_key().get_name()


def test_a_host_that_has_a_certificate_too(own_openssh: OpenSSH) -> None:
    """Its plain key is pinned, and that is enough."""
    folder = own_openssh.folder
    own_openssh.stop()
    keygen("-s", folder / "user_key", "-I", "test", "-h", folder / "host_key.pub")
    with (folder / "sshd_config").open("a") as config:
        config.write(f"HostCertificate {folder}/host_key-cert.pub\n")
    own_openssh.start()
    with logged_in(own_openssh) as transport:
        assert transport.is_authenticated()
    pin = (folder / "user_key.pub").read_text()
    (folder / "known_hosts").write_text(f"@cert-authority [127.0.0.1]:{own_openssh.port} {pin}")
    with pytest.raises(StageError, match="certificates of hosts are not supported"), logged_in(own_openssh):
        pass


@pytest.mark.parametrize(
    ("quirks", "said"),
    [
        (Quirks(ciphers=("3des-cbc", "aes128-cbc")), "offers no ciphers that this program takes, only 3des-cbc, aes128-cbc."),
        (Quirks(macs=("hmac-md5", "hmac-sha1-96")), "offers no macs that this program takes, only hmac-md5, hmac-sha1-96."),
        (Quirks(kex=("diffie-hellman-group1-sha1",)), "offers no kex that this program takes, only diffie-hellman-group1-sha1"),
    ],
    ids=["ciphers", "MACs", "key exchange"],
)
def test_a_server_with_nothing_but_weak_algorithms(tmp_path: Path, quirks: Quirks, said: str) -> None:
    with serving(tmp_path / "server", tmp_path, quirks) as server:
        settings = Settings(**{name.lower(): text for name, text in server.settings().items()})  # type: ignore[arg-type]
        with pytest.raises(NoLogin) as caught:
            connect(settings)
    assert f"127.0.0.1 {said}" in str(caught.value)

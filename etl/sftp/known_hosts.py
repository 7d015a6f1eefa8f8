"""Pinned host keys, read as OpenSSH reads its known_hosts (sshd manual, SSH_KNOWN_HOSTS FILE FORMAT)."""

import hmac
import logging
from base64 import b64decode
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import paramiko

from base import trust
from base.masking import clean
from base.trouble import StageError, Status
from sftp.packets import Cursor, NotSFTP

CERTIFICATES, REVOKED = "@cert-authority", "@revoked"
RSA_SIGNATURES = ["rsa-sha2-512", "rsa-sha2-256"]  # how a key of type ssh-rsa is asked for

log = logging.getLogger("etl.sftp")


@dataclass
class Pinned:
    """What the file says of one host; keys are (type, bytes)."""

    keys: set[tuple[str, bytes]] = field(default_factory=set)  # any of them is good
    revoked: set[tuple[str, bytes]] = field(default_factory=set)
    trusts_certificates: bool = False  # only by a certificate, which this program does not check

    @property
    def types(self) -> list[str]:
        """The key types to ask the server for."""
        types = sorted({kind for kind, _ in self.keys})
        return [name for kind in types for name in (RSA_SIGNATURES if kind == "ssh-rsa" else [kind])]


def read(path: Path, host: str, port: int) -> Pinned:
    """Return what the file says of a host, nothing if there is no file; log lines that are malformed."""
    pinned = Pinned()
    names = [host.lower()] if port == 22 else [f"[{host.lower()}]:{port}", host.lower()]
    try:
        lines = trust.read("SFTP_KNOWN_HOSTS", path).decode(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise StageError(
            Status.SETTINGS, f"SFTP_KNOWN_HOSTS {path} cannot be read: {error.strerror}.", "it must be a file that is yours."
        ) from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        try:
            patterns, kind, encoded, *_ = fields
            key = kind, b64decode(encoded, validate=True)
            good = marker in ("", CERTIFICATES, REVOKED) and is_key(*key)
        except ValueError:
            good = False
        if not good:
            log.info("passed over line=%d of %s: it is malformed", number, path)
            continue
        if any(is_meant(patterns, name) for name in names):
            pinned.trusts_certificates = pinned.trusts_certificates or marker == CERTIFICATES
            {"": pinned.keys, REVOKED: pinned.revoked}.get(marker, set()).add(key)
    return pinned


def is_key(kind: str, content: bytes) -> bool:
    """Return whether these are a key of that type: strings, of which the first is the type (RFC 4253, section 6.6)."""
    cursor, strings = Cursor(content), []
    try:
        while cursor.rest():
            strings.append(cursor.string())
    except NotSFTP:
        return False
    return len(strings) > 1 and strings[0] == kind.encode()


def is_meant(patterns: str, name: str) -> bool:
    """Return whether the first field of a line means a name: hashed, or a list of patterns, those with ! excepted."""
    if patterns.startswith("|1|"):
        try:
            salt, hashed = (b64decode(part) for part in patterns[3:].split("|"))
        except ValueError:
            return False
        return hmac.digest(salt, name.encode(), "sha1") == hashed
    given = patterns.lower().split(",")
    if any(pattern[:1] == "!" and matches(name, pattern[1:]) for pattern in given):
        return False
    return any(matches(name, pattern) for pattern in given)


def matches(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern, in which * and ? stand for others and brackets for themselves."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def verify(key: paramiko.PKey, pinned: Pinned, host: str, port: int, path: Path) -> None:
    """Raise StageError unless the server's key is pinned."""
    shown = clean(f"{key.get_name()} {key.fingerprint}")
    if (key.get_name(), key.asbytes()) in pinned.revoked:
        raise StageError(Status.SFTP, f"the host key of {host} is revoked: {shown}.", f"{path} says so; ask the server's owner.")
    if (key.get_name(), key.asbytes()) in pinned.keys:
        return
    line = f"{host if port == 22 else f'[{host}]:{port}'} {key.get_name()} {key.get_base64()}"
    if pinned.keys:
        raise StageError(
            Status.SFTP,
            f"the host key of {host} has changed to {shown}.",
            f"somebody may be in between; only if its owner confirms the key, replace the host's lines in {path} by: {line}",
        )
    if pinned.trusts_certificates:
        raise StageError(
            Status.SFTP,
            f"{path} trusts {host} by a certificate only, and certificates of hosts are not supported; its key is {shown}.",
            f"if its owner confirms that fingerprint, add this line: {line}",
        )
    raise StageError(
        Status.SFTP,
        f"the host key of {host} is unknown: {shown}.",
        f"if its owner confirms that fingerprint, add this line to {path}: {line}",
    )

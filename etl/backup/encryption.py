"""Encryption with age: to BACKUP_RECIPIENTS, so that only BACKUP_IDENTITY_FILE opens a zip. No night reads that file."""

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyrage
from pyrage.x25519 import Identity, Recipient

from base import trust
from base.files import Stamp, Stamper, open_plain
from base.settings import Settings
from base.trouble import StageError, Status

ENCRYPTED = ".age"  # how the name of an encrypted file ends


def encrypt(clear: IO[bytes], target: IO[bytes], recipients: str) -> Stamp:
    """Encrypt a file to each of the recipients, sync the encrypted file to the disk, and return the stamp of what was written."""
    clear.seek(0)
    stamper = Stamper(target)
    pyrage.encrypt_io(clear, stamper, [Recipient.from_str(key.strip()) for key in recipients.split(",")])
    target.flush()
    os.fsync(target.fileno())
    return stamper.stamp()


@contextmanager
def open_clear(path: Path, identities: Sequence[Identity]) -> Iterator[IO[bytes]]:
    """Open a file that may be encrypted, to read what it holds.

    What an encrypted file holds is put in a temporary file without a name, which goes with this process. Raise StageError if
    none of the identities opens the file, and BadZipFile or OSError if the file is damaged.
    """
    with open_plain(path) as file:
        if path.suffix != ENCRYPTED:
            yield file
            return
        with tempfile.TemporaryFile() as clear:
            decrypt(file, clear, identities)
            clear.seek(0)
            yield clear


def decrypt(file: IO[bytes], clear: IO[bytes], identities: Sequence[Identity]) -> None:
    """Write what an encrypted file holds."""
    try:
        pyrage.decrypt_io(file, clear, identities)
    except pyrage.DecryptError as error:
        if identities and "No matching keys" not in str(error):
            raise zipfile.BadZipFile(str(error)) from error
        why = "holds no identity that opens it" if identities else "is not set"
        raise StageError(
            Status.SETTINGS,
            f"{Path(file.name).name} is encrypted, and BACKUP_IDENTITY_FILE {why}.",
            "name a file with the identity of one of the recipients that BACKUP_RECIPIENTS had that night.",
        ) from error


def read_identities(settings: Settings) -> list[Identity]:
    """Return the identities in BACKUP_IDENTITY_FILE, none if it is not set; raise StageError if the file holds none."""
    if settings.backup_identity_file is None:
        return []
    path = settings.backup_identity_file
    hint = "name a file that age-keygen wrote, and that this user may read."
    try:
        lines = [line.strip() for line in trust.read("BACKUP_IDENTITY_FILE", path).decode().splitlines()]
        identities = [Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except OSError as error:
        raise StageError(Status.SETTINGS, f"BACKUP_IDENTITY_FILE: {path}: {error.strerror}.", hint) from error
    except (UnicodeDecodeError, pyrage.IdentityError):  # no word of the file: it may hold a secret
        identities = []
    if not identities:
        raise StageError(Status.SETTINGS, f"BACKUP_IDENTITY_FILE: {path} holds no age identity, or holds something else.", hint)
    return identities

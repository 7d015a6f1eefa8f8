"""The backup zips of contract section 8: how a zip is written, and which flaws a zip has."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyrage.x25519 import Identity

from backup.encryption import ENCRYPTED, encrypt, open_clear
from base.files import Stamp, make_new, open_plain, stamp_of
from base.progress import advance, progress_reader
from base.trouble import StageError, Status
from base.workdir import Report
from postgres.ledger import Entry

# What zipfile raises for flipped bits. RuntimeError: the bits say "encrypted", or name an unknown compression.
# OSError: the bits point outside of the file. Without one of the two, tests/backup/test_zips.py fails.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
MANIFEST = "manifest.json"
BLOCK = 1 << 18  # bytes
ZIP_NAME = "visitas_%Y-%m-%d_%H%M%S.zip"


def make_zip(part: Path, reports: dict[Entry, Report], recipients: str | None) -> Stamp:
    """Write the reports as a zip, read it back and compare it with the load log; return the stamp of the file.

    With recipients the file is that zip encrypted: no key here opens it, so the encrypted file is compared with what was
    written. The clear zip then is a file without a name: a kill leaves nothing of it. Raise StageError if anything differs.
    """
    with make_new(part) as file:
        if recipients is None:
            fill(file, part, reports)
            return stamp_of(file)
        with tempfile.TemporaryFile(dir=part.parent) as clear:
            fill(clear, part, reports)
            written = encrypt(clear, file, recipients)
        read_from_disk(file)
        if stamp_of(file) != written:
            raise bad_zip(part, f"{part.name}: other bytes than were written")
        return written


def fill(file: IO[bytes], part: Path, reports: dict[Entry, Report]) -> None:
    """Write the reports as a zip, read it back and compare it with the load log."""
    write_zip(file, reports)
    read_from_disk(file)
    if found := list(content_flaws(file, part.name, list(reports))):
        raise bad_zip(part, found[0])


def bad_zip(part: Path, flaw: str) -> StageError:
    """Return the trouble of a new zip that has a flaw."""
    return StageError(
        Status.DISK,
        f"the new zip was read back and differs from the load log: {flaw}.",
        f"no report was deleted, here or on the server; check the disks of {part.parent} and of WORK_DIR.",
    )


def write_zip(file: IO[bytes], reports: dict[Entry, Report]) -> None:
    """Write the reports and their manifest as a zip, and sync the zip to the disk."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for report in reports.values():
            member = zipfile.ZipInfo.from_file(report.path, report.name, strict_timestamps=False)
            member.compress_type = zipfile.ZIP_DEFLATED
            with report.path.open("rb") as content, archive.open(member, "w") as target:
                shutil.copyfileobj(progress_reader(content), target, BLOCK)
        archive.writestr(MANIFEST, json.dumps([entry.manifest() for entry in reports], indent=1))
    file.flush()
    os.fsync(file.fileno())


def flaws(path: Path, stamp: Stamp | None, entries: list[Entry], identities: Sequence[Identity] = ()) -> Iterator[str]:
    """Read a zip back and yield every difference from the load log; a good backup yields nothing.

    Without identities an encrypted zip is not opened: its stamp alone is compared.
    """
    is_clear = path.suffix != ENCRYPTED
    try:
        with open_plain(path) as file:
            read_from_disk(file)
            is_same = stamp_of(file) == stamp if stamp else is_clear
        found: list[str] = []
        if is_clear or (is_same and identities):
            with open_clear(path, identities) as file:
                found = list(content_flaws(file, path.name, entries))
        if not (is_same or found):
            found = [f"{path.name}: its size or its SHA-256 differs from the load log"]
        yield from found
    except FileNotFoundError:
        yield f"{path.name}: missing"
    except DAMAGE as error:
        yield f"{path.name}: damaged: {error}"


def content_flaws(file: IO[bytes], name: str, entries: list[Entry]) -> Iterator[str]:
    """Read a clear zip and yield every difference from the load log's entries."""
    try:
        with zipfile.ZipFile(file) as archive:
            if json.loads(archive.read(MANIFEST)) != [entry.manifest() for entry in entries]:
                yield f"{name}: its manifest differs from the load log"
            for member in set(archive.namelist()) - {MANIFEST} - {entry.name for entry in entries}:
                yield f"{name}: {member} is not in the load log"
            for entry in entries:
                yield from member_flaws(archive, name, entry)
                advance(entry.bytes)
    except (*DAMAGE, KeyError, ValueError) as error:
        yield f"{name}: damaged: {error}"


def member_flaws(archive: zipfile.ZipFile, name: str, entry: Entry) -> Iterator[str]:
    """Yield the flaw of one report in a zip, if it has a flaw."""
    try:
        with archive.open(entry.name) as member:
            sha256 = hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]  # reads like a file
        if sha256 != entry.sha256:
            yield f"{name}: {entry.name} has another SHA-256 than the load log says"
    except KeyError:
        yield f"{name}: {entry.name} is missing"
    except DAMAGE as error:
        yield f"{name}: {entry.name} is damaged: {error}"


@contextmanager
def open_zip(path: Path, identities: Sequence[Identity]) -> Iterator[zipfile.ZipFile]:
    """Open a zip to read its reports, whether it is encrypted or not; raise StageError if none of the identities opens it."""
    with open_clear(path, identities) as file, zipfile.ZipFile(file) as archive:
        yield archive


def read_from_disk(file: IO[bytes]) -> None:
    """Have the system read the file from the disk from now on, not from memory."""
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

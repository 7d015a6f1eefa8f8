"""The backup zips of contract section 8: how a zip is written, and which flaws a zip has."""

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from base.progress import advance, progress_reader
from base.workdir import Report
from postgres.ledger import Entry

# What zipfile raises for flipped bits. RuntimeError: the bits say "encrypted", or name an unknown compression.
# OSError: the bits point outside of the file. Without one of the two, tests/backup/test_zips.py fails.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
MANIFEST = "manifest.json"
BLOCK = 1 << 18  # bytes
ZIP_NAME = "visitas_%Y-%m-%d_%H%M%S.zip"


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


def flaws(path: Path, entries: list[Entry]) -> Iterator[str]:
    """Read a zip back and yield every difference from the load log's entries; a good backup yields nothing."""
    try:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # read from the disk, not from memory
            with zipfile.ZipFile(file) as archive:
                if json.loads(archive.read(MANIFEST)) != [entry.manifest() for entry in entries]:
                    yield f"{path.name}: its manifest differs from the load log"
                for name in set(archive.namelist()) - {MANIFEST} - {entry.name for entry in entries}:
                    yield f"{path.name}: {name} is not in the load log"
                for entry in entries:
                    yield from member_flaws(archive, path, entry)
                    advance(entry.bytes)
    except FileNotFoundError:
        yield f"{path.name}: missing"
    except (*DAMAGE, KeyError, ValueError) as error:
        yield f"{path.name}: damaged: {error}"


def member_flaws(archive: zipfile.ZipFile, path: Path, entry: Entry) -> Iterator[str]:
    """Yield the flaw of one report in a zip, if it has a flaw."""
    try:
        with archive.open(entry.name) as member:
            sha256 = hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]  # reads like a file
        if sha256 != entry.sha256:
            yield f"{path.name}: {entry.name} has another SHA-256 than the load log says"
    except KeyError:
        yield f"{path.name}: {entry.name} is missing"
    except DAMAGE as error:
        yield f"{path.name}: {entry.name} is damaged: {error}"

"""Take a report out of its zip again, for those who change what is loaded (contract section 9)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from backup.encryption import read_identities
from backup.zips import BLOCK, DAMAGE, open_zip
from base.settings import Settings
from base.trouble import StageError, Status


def take_out(settings: Settings, archive_name: str, name: str, sha256: str, target: IO[bytes]) -> None:
    """Write a report of a zip to ``target``; raise StageError if the zip does not give the bytes that were loaded."""
    path = settings.backup_dir / archive_name
    found = hashlib.sha256()
    for block in read_member(settings, path, name):
        found.update(block)
        target.write(block)
    if found.hexdigest() != sha256:
        raise unusable(path, name, "it has another SHA-256 than the load log says")


def read_member(settings: Settings, path: Path, name: str) -> Iterator[bytes]:
    """Yield the bytes of a report in a zip, or raise StageError."""
    try:
        with open_zip(path, read_identities(settings)) as archive, archive.open(name) as member:
            while block := member.read(BLOCK):
                yield block
    except FileNotFoundError:
        raise unusable(path, name, "that zip is missing") from None
    except KeyError:
        raise unusable(path, name, "that zip lacks it") from None
    except DAMAGE as error:
        raise unusable(path, name, f"that zip is damaged: {error}") from error


def unusable(path: Path, name: str, why: str) -> StageError:
    """Return the trouble of a zip that does not give a report: without it, nothing is changed."""
    return StageError(
        Status.SETTINGS,
        f"{name} cannot be taken out of {path}: {why}.",
        "nothing was changed; make verify-backups looks at all zips.",
    )

"""Files and folders that are made: whole, private, or for a while; what a file's bytes are, and the order of file names."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

TEMPORARY = "visitas-scratch-"  # how the names of temporary folders begin


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing. The file gets its final name only if the block ends well.

    Until then its name is ``.<name>.part``. An exception deletes it.
    """
    part = path.with_name(f".{path.name}.part")
    if os.path.lexists(part):  # of a killed process, or planted
        part.unlink()
    try:
        with make_new(part) as file:
            yield file
        part.rename(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a failed write names no file
            error.filename = str(path)
        raise


def make_new(path: Path) -> IO[bytes]:
    """Make a file for this user alone, and open it; raise FileExistsError if anything stands there, even a dangling link."""
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags, 0o600))


def open_plain(path: Path) -> IO[bytes]:
    """Open a file to read it. What somebody put there as a pipe is not waited for: it reads as empty, or not at all."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a temporary folder for the time of the block. Those of killed processes are removed, too: nobody holds their locks."""
    for left in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if left.lstat().st_uid == os.geteuid():
                with locked(left):
                    shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as name, locked(Path(name)):
        yield Path(name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder during the block; raise OSError if another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int | None:
    """Return the size of a file in bytes, or None if there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


class Stamp(NamedTuple):
    """What tells the bytes of a file from all others."""

    sha256: str  # lower-case hex
    bytes: int


class Stamper:
    """A file to write to, which takes the stamp of what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def write(self, block: bytes) -> int:
        """Write a block."""
        self._sha256.update(block)
        self._bytes += len(block)
        return self._file.write(block)

    def flush(self) -> None:
        """Write what is held back."""
        self._file.flush()

    def stamp(self) -> Stamp:
        """Return the stamp of all that was written."""
        return Stamp(self._sha256.hexdigest(), self._bytes)


def stamp_of(file: IO[bytes]) -> Stamp:
    """Read an open file from its beginning to its end and return its stamp."""
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # reads like a file
    return Stamp(sha256, file.tell())


def natural_order(name: str) -> list[Any]:
    """Return the sort key for natural order: report_9 comes before report_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]

"""Files that appear only when they are whole; the size of a file, and the order of file names."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing. The file gets its final name only if the block ends well.

    Until then its name is ``.<name>.part``. An exception deletes it.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.rename(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a failed write names no file
            error.filename = str(path)
        raise


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


def natural_order(name: str) -> list[Any]:
    """Return the sort key for natural order: report_9 comes before report_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]

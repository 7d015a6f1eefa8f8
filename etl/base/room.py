"""Room on a disk. Part of the disk stays free, so that one report cannot stop the others."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO

from base.trouble import StageError, Status

PART_KEPT = 20  # the twentieth part of the disk stays free,
MOST_KEPT = 1 << 30  # bytes; but never more than this


class Room:
    """The room on the disk of WORK_DIR, shared by the threads that pull reports.

    A report needs twice its size: for itself, and for what transform stages from it.
    """

    def __init__(self, folder: Path, waiting: int) -> None:
        """Look at the disk of the folder, where reports of together ``waiting`` bytes wait for transform."""
        self._folder = folder
        usage = shutil.disk_usage(folder)
        self._kept = min(usage.total // PART_KEPT, MOST_KEPT)
        # Without it, a server that lies of one report would leave no room for the others.
        self._kept_for_announced = self._kept + usage.free // 2
        self._promised = waiting
        self._lock = Lock()

    def promise(self, size: int, is_announced: bool = True) -> None:
        """Promise so many bytes, which may be negative; raise StageError if the room is not there.

        Bytes that the server has not announced get half of the room.
        """
        kept = self._kept if is_announced else self._kept_for_announced
        with self._lock:
            if size > 0 and shutil.disk_usage(self._folder).free < kept + self._promised + size:
                raise StageError(
                    Status.DISK,
                    "WORK_DIR has no room for it and for what is staged from it.",
                    f"free space on the disk of {self._folder}; the next run pulls it.",
                )
            self._promised += size

    @contextmanager
    def share(self, file: IO[bytes], size: int) -> Iterator["Share"]:
        """Give a share of the room to a report that is said to have this size, and that is written to the file.

        If the block fails, the share is given back. Otherwise the report is there now, and what is staged from it is promised.
        """
        share = Share(self, file, size)
        try:
            yield share
        except BaseException:
            self.promise(-share.promised)
            raise


class Share:
    """A file to write to, which takes its room out of what was promised. What comes beyond the promise needs another one."""

    def __init__(self, room: Room, file: IO[bytes], size: int) -> None:
        room.promise(2 * size)
        self._room, self._file = room, file
        self._expected = size  # bytes, still to be written
        self.promised = 2 * size

    def write(self, block: bytes) -> None:
        """Write a block."""
        if (beyond := len(block) - self._expected) > 0:
            self._room.promise(2 * beyond, is_announced=False)
            self.promised += 2 * beyond
        self._file.write(block)
        self._room.promise(-len(block))
        self.promised -= len(block)
        self._expected = max(0, self._expected - len(block))

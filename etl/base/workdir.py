"""The work directory: what lies in it, and how a file gets a final name only when it is whole."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from base.files import natural_order, whole_file
from base.settings import Settings
from base.trouble import StageError, Status

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Verdict:
    """What transform found out about one report; written last, so it vouches for the staged files."""

    name: str
    sha256: str  # lower-case hex
    bytes: int
    mtime: int  # on the server, seconds since 1970
    pulled_at: float  # seconds since 1970
    fate: str  # Fate.ACCEPTED or REFUSED
    rows_read: int
    rows_accepted: int  # rows staged for statistics
    error_rows: int  # rows staged for errors, a fault of the whole file included
    boot_id: str  # staged files are not synced: after a power cut they are made again


class Report:
    """One report in the work directory, and the files staged from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def staged(self, kind: str) -> Path:
        """Return the path of a staged file: ``statistics.csv``, ``errors.csv`` (if a line is rejected) or ``verdict.json``."""
        return self.path.parent / "staged" / f"{self.name}.{kind}"

    def staged_bytes(self) -> int:
        """Return the size of what is staged for statistics; 0 if it is gone."""
        path = self.staged("statistics.csv")
        return path.stat().st_size if path.exists() else 0

    def is_file_of(self, size: int, mtime: int) -> bool:
        """Return whether the report is here, and is the file of so many bytes and that time (seconds since 1970)."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return (found.st_size, int(found.st_mtime)) == (size, mtime)

    def verdict(self) -> Verdict | None:
        """Return what transform found, or None if the report, as it is now, is not staged."""
        try:
            verdict = Verdict(**json.loads(self.staged("verdict.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # none yet, torn by a power cut, or of another version
            return None
        fresh = self.is_file_of(verdict.bytes, verdict.mtime)
        return verdict if fresh and verdict.boot_id == boot_id() else None

    def write_verdict(self, verdict: Verdict) -> None:
        """Declare the staged files whole."""
        with whole_file(self.staged("verdict.json")) as file:
            file.write(json.dumps(vars(verdict)).encode())

    def remove_if(self, size: int, mtime: int) -> None:
        """Remove the report, and what was staged from it, if it is that very file."""
        if self.is_file_of(size, mtime):
            self.remove()

    def remove(self) -> None:
        """Remove the report and what was staged from it; the report last, so that nothing is forgotten."""
        for kind in ("verdict.json", "statistics.csv", "errors.csv"):
            self.staged(kind).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class WorkDir:
    """WORK_DIR, checked and ready for use."""

    def __init__(self, settings: Settings) -> None:
        """Make the folder with mode 0700, or raise StageError if it is not this user's own."""
        self.root = settings.work_dir
        self._pattern = settings.report_pattern
        self.root.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.root.mkdir(mode=0o700)
        except FileExistsError:
            refuse_foreign(self.root)
        self.root.chmod(0o700)
        (self.root / "staged").mkdir(exist_ok=True)

    def reports(self) -> list[Report]:
        """Return every whole report, in natural order."""
        return [Report(self.root / name) for name in sorted(report_names(self.root, self._pattern), key=natural_order)]

    def report(self, name: str) -> Report:
        """Return the report of that name, which need not exist yet."""
        return Report(self.root / name)

    def left(self) -> list[str]:
        """Return the names that the last extract saw on the server and left for the next run."""
        path = self.root / ".left"
        return path.read_text().splitlines() if path.exists() else []

    def leave(self, names: list[str]) -> None:
        """Say what was left for the next run."""
        if names:
            with whole_file(self.root / ".left") as file:
                file.write("\n".join(names).encode())
        else:
            (self.root / ".left").unlink(missing_ok=True)


def report_names(folder: Path, pattern: str) -> Iterator[str]:
    """Yield the names of the whole reports in a folder, in no order."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if fnmatchcase(entry.name, pattern) and entry.name[0] != "." and entry.is_file(follow_symlinks=False):
                yield entry.name


def refuse_foreign(folder: Path) -> None:
    """Raise StageError if the folder is a link, no folder, or another user's: its content could be forged."""
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        fault = "is a link"
    elif not stat.S_ISDIR(found.st_mode):
        fault = "is not a folder"
    elif found.st_uid != os.geteuid():
        fault = f"belongs to another user (id {found.st_uid})"
    else:
        return
    raise StageError(Status.DISK, f"the work directory {folder} {fault}.", "remove it, or set WORK_DIR to another folder.")


@cache
def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    return BOOT_ID.read_text().strip()

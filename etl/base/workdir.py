"""The work directory: the pulled reports, and the files staged from them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

from base.files import natural_order, whole_file
from base.settings import Settings
from base.trust import make_folder

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Claim(NamedTuple):
    """What the server says of a file's size (bytes) and time (seconds since 1970); None is not said. It may be wrong."""

    size: int | None
    mtime: int | None


class Said(NamedTuple):
    """What the server said of a report that was pulled."""

    listed: Claim  # in its listing of the folder
    looked: Claim  # when it was asked for this file alone

    @classmethod
    def truth(cls, size: int, mtime: int) -> "Said":
        """Return what a server says that is right."""
        return cls(Claim(size, mtime), Claim(size, mtime))

    @classmethod
    def parse(cls, text: str) -> "Said":
        """Return it from its JSON."""
        return cls(*(Claim(*claim) for claim in json.loads(text)))


@dataclass(frozen=True)
class Verdict:
    """What transform says about one report. The verdict is written last, so it vouches for the other staged files."""

    name: str
    sha256: str  # lower-case hex
    bytes: int
    mtime: int  # on the server, seconds since 1970
    pulled_at: float  # seconds since 1970
    fate: str  # Fate.ACCEPTED or REFUSED
    rows_read: int
    rows_accepted: int  # rows staged for statistics
    error_rows: int  # rows staged for errors; a fault of the whole file has a row too
    said: str | None  # what the server said of it, if that was not the truth: JSON of Said
    boot_id: str  # staged files are not synced: a verdict from before a reboot is void


class Report:
    """One report in the work directory, and the files staged from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def staged(self, kind: str) -> Path:
        """Return the path of a staged file; ``kind`` is statistics.csv, errors.csv (if it has rows) or verdict.json."""
        return self.path.parent / "staged" / f"{self.name}.{kind}"

    def staged_bytes(self) -> int:
        """Return the size in bytes of the rows staged for statistics; 0 if they are gone."""
        path = self.staged("statistics.csv")
        return path.stat().st_size if path.exists() else 0

    def remember(self, said: Said, size: int, mtime: int) -> None:
        """Keep what the server said of a report that is about to get its final name, if that is not its size and its time."""
        path = self.staged("said.json")
        if said == Said.truth(size, mtime):
            path.unlink(missing_ok=True)
        else:
            with whole_file(path) as file:
                file.write(json.dumps(said).encode())

    def said(self) -> str | None:
        """Return what the server said of it as JSON, or None if that was the truth."""
        path = self.staged("said.json")
        return path.read_text() if path.exists() else None

    def is_listed_as(self, claim: Claim) -> bool:
        """Return whether the report is here, and was listed like this when it was pulled."""
        try:
            info = self.path.stat()
        except FileNotFoundError:
            return False
        said = self.said()
        return claim == (Said.parse(said) if said else Said.truth(info.st_size, int(info.st_mtime))).listed

    def is_file_of(self, size: int, mtime: int) -> bool:
        """Return whether the report is here and has this size (bytes) and this time (seconds since 1970)."""
        try:
            info = self.path.stat()
        except FileNotFoundError:
            return False
        return (info.st_size, int(info.st_mtime)) == (size, mtime)

    def verdict(self) -> Verdict | None:
        """Return transform's verdict, or None if the report, as it is now, has no verdict."""
        try:
            verdict = Verdict(**json.loads(self.staged("verdict.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # no verdict yet, half-written at a power cut, or of another version
            return None
        fresh = self.is_file_of(verdict.bytes, verdict.mtime)
        return verdict if fresh and verdict.boot_id == boot_id() else None

    def write_verdict(self, verdict: Verdict) -> None:
        """Write the verdict: from now on the staged files count."""
        with whole_file(self.staged("verdict.json")) as file:
            file.write(json.dumps(vars(verdict)).encode())

    def remove_if(self, size: int, mtime: int) -> None:
        """Remove the report and its staged files, but only if the report has this size and this time."""
        if self.is_file_of(size, mtime):
            self.remove()

    def remove(self) -> None:
        """Remove the staged files, then the report: while the report is there, the next run finds what is left."""
        for kind in ("verdict.json", "statistics.csv", "errors.csv", "rest.statistics.csv", "rest.errors.csv", "said.json"):
            self.staged(kind).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


class WorkDir:
    """WORK_DIR, checked and ready for use."""

    def __init__(self, settings: Settings) -> None:
        """Make the folder with mode 0700; raise StageError if it exists but is not this user's own."""
        self.root = settings.work_dir
        self._pattern = settings.report_pattern
        make_folder("WORK_DIR", self.root)
        self.root.chmod(0o700)
        (self.root / "staged").mkdir(exist_ok=True)

    def reports(self) -> list[Report]:
        """Return every whole report, in natural order."""
        return [Report(self.root / name) for name in sorted(report_names(self.root, self._pattern), key=natural_order)]

    def report(self, name: str) -> Report:
        """Return the report of that name; the file need not exist."""
        return Report(self.root / name)

    def left(self) -> dict[str, str]:
        """Return the names that the last extract saw on the server and left for the next run, each with the reason."""
        path = self.root / ".left"
        try:
            names: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        except ValueError:  # of an earlier version
            names = {}
        return names

    def leave(self, names: dict[str, str]) -> None:
        """Keep which names are left for the next run, and why."""
        with whole_file(self.root / ".left") as file:
            file.write(json.dumps(names).encode())


def report_names(folder: Path, pattern: str) -> Iterator[str]:
    """Yield the names of the whole reports in a folder, in no order."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if fnmatchcase(entry.name, pattern) and entry.name[0] != "." and entry.is_file(follow_symlinks=False):
                yield entry.name


@cache
def boot_id() -> str:
    """Return the id that the kernel gives to each boot of the machine."""
    return BOOT_ID.read_text().strip()

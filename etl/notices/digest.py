"""The facts of one run, as its journal and the load log have them."""

import math
import socket
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from psycopg2.extensions import cursor

from base.fate import Fate
from base.trouble import Status
from notices.journal import Journal
from postgres.database import one, rows

FAR = 3  # times the usual volume, or a third of it


class Severity(StrEnum):
    """Whom a run concerns: nobody, whoever reads mail in the morning, whoever is on call."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class File(NamedTuple):
    """What became of one report."""

    name: str
    status: str
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int
    archive_name: str | None  # None until its zip is proved


class Reject(NamedTuple):
    """How often a reject code occurred."""

    code: str
    lines: int
    worst: list[str]  # up to three reports, each with its count


COUNTS = File._fields[2:7]
FATES = (Fate.LOADED, Fate.DUPLICATE, Fate.REFUSED, Fate.QUARANTINED)


class Loaded(NamedTuple):
    """What the load log knows of one run."""

    files: list[File]
    rejects: list[Reject]
    usual: float | None  # lines of a usual night; None after a few nights only
    idle_days: float | None  # since a report came last; None before the first run

    def total(self, count: str) -> int:
        """Return the sum over all files of one of COUNTS."""
        return sum(getattr(file, count) for file in self.files)

    def of_status(self, status: str) -> int:
        """Return how many files have the status."""
        return sum(file.status == status for file in self.files)

    @property
    def zips(self) -> list[str]:
        """The names of the run's zips."""
        return sorted({file.archive_name for file in self.files if file.archive_name})


@dataclass(frozen=True)
class Digest:
    """All that is to be told about one run."""

    run_id: str
    status: int  # exit status
    journal: Journal
    loaded: Loaded | None  # None: Postgres could not be asked
    waiting: int | None  # reports in the work directory; None: unknown
    expect_days: float | None
    unreached: dict[str, str] = field(default_factory=dict)  # channels that did not take the last message, and why
    hours_locked: float | None = None  # how long another run has held the lock; None if that is not the trouble
    host: str = field(default_factory=socket.gethostname)

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        if self.status not in (Status.DONE, Status.REFUSED):
            return Severity.FAILED
        return Severity.WARNING if self.status or self.warnings else Severity.OK

    @property
    def errors(self) -> list[str]:
        """What stopped the run, or a part of it."""
        killed = any(stage == "etl" and status is None for stage, status, _ in self.journal.ended)
        silent = ["etl: night.py was killed; what is left is done by the next run"] if killed else []
        if self.hours_locked is not None:
            held = f"{self.hours_locked:.0f} hours" if math.isfinite(self.hours_locked) else "a time that nobody knows"
            silent.append(f"the lock has been held for {held}. Hint: does that run hang?")
        return self.journal.errors + silent

    @property
    def warnings(self) -> list[str]:
        """What somebody should look at in the morning."""
        unreached = [f"{name} was not reached the last time: {why}" for name, why in self.unreached.items()]
        return self.journal.warnings + ([*self._of_volume(), *self._of_silence()] if self.loaded else []) + unreached

    def _of_volume(self) -> list[str]:
        assert self.loaded
        read, usual = self.loaded.total("rows_read"), self.loaded.usual
        if not read or not usual or usual / FAR <= read <= usual * FAR:
            return []
        return [f"{read:,} lines came; the usual is {usual:,.0f} (median of the last nights with files)"]

    def _of_silence(self) -> list[str]:
        assert self.loaded
        days = self.loaded.idle_days
        if not self.expect_days or not days or days <= self.expect_days:
            return []
        return [f"no report has come for {days:.0f} days. Hint: ask the sender."]

    @property
    def files_by_status(self) -> dict[str, float]:
        """How many reports came to what end; deferred are those left on the server for the next run."""
        known = {} if self.loaded is None else {status: self.loaded.of_status(status) for status in FATES}
        return known | ({"deferred": left} if (left := self.journal.facts.get("left")) is not None else {})

    @property
    def lines_by_status(self) -> dict[str, float]:
        """How many lines were loaded and rejected."""
        return {} if self.loaded is None else {count: self.loaded.total(f"rows_{count}") for count in ("loaded", "rejected")}

    @property
    def headline(self) -> str:
        """What happened, in a few words."""
        if self.severity is Severity.FAILED:
            return self.errors[0].partition(" Hint: ")[0] if self.errors else f"exit status {self.status}"
        if self.loaded is None:
            return "done; Postgres could not be asked for the figures"
        if not self.loaded.files:
            return "nothing new" + (f"; {len(self.warnings)} warning(s)" if self.warnings else "")
        bad = [f"{count} {status}" for status in (Fate.REFUSED, Fate.QUARANTINED) if (count := self.loaded.of_status(status))]
        files = [f"{self.loaded.of_status(Fate.LOADED)} of {len(self.loaded.files)} files loaded", *bad]
        lines = f"{self.loaded.total('rows_loaded'):,} of {self.loaded.total('rows_read'):,} lines"
        return ", ".join([*files, lines])


def gather(cursor: cursor, run_id: str) -> Loaded:
    """Return what the load log knows of a run."""
    of_run = {"run_id": run_id}
    return Loaded(
        [File(*row) for row in rows(cursor, "notices/digest_files", of_run)],
        [Reject(*row) for row in rows(cursor, "notices/digest_rejects", of_run)],
        one(cursor, "notices/digest_usual", of_run)[0],
        number(one(cursor, "notices/digest_last_file")[0]),
    )


def number(found: object) -> float | None:
    """Return what Postgres gives as a number."""
    return None if found is None else float(str(found))

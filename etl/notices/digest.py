"""The facts of one run, from its journal and from the load log."""

import math
import socket
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from psycopg2.extensions import cursor

from base.counting import count_of
from base.fate import Fate
from base.trouble import Status
from notices.journal import Journal
from notices.language import HINT, Language
from postgres.statements import one, rows

FAR = 3  # a night is unusual with more than 3 times the usual lines, or with less than a third


class Severity(StrEnum):
    """How serious a run is."""

    OK = "ok"  # nobody must act
    WARNING = "warning"  # somebody must look in the morning
    FAILED = "failed"  # whoever is on call must act


class File(NamedTuple):
    """A report of the run."""

    name: str
    status: str  # its fate
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int
    archive_name: str | None  # None until the zip is read back and compared


class Reject(NamedTuple):
    """A reject code of the run."""

    code: str
    lines: int
    worst: list[str]  # up to three reports with their counts, ``report_8.txt (12)``


class Change(NamedTuple):
    """What people changed in the load log."""

    what: str  # undo
    file: str | None  # report_8.txt (ID 12); None for a prune
    lines: int
    person: str

    def said(self, words: Language) -> str:
        """Return it in words."""
        what = words("{what} of {file}", what=self.what, file=self.file) if self.file else self.what
        lines = words.count("{n} line", "{n} lines", self.lines)
        person = self.person.replace("@", f" {words('on')} ")  # no mailbox: those are masked
        return words("{what}, {lines}, by {person}", what=what, lines=lines, person=person)


COUNTS = File._fields[2:7]  # the fields that can be summed up
FATES = (Fate.LOADED, Fate.DUPLICATE, Fate.REFUSED, Fate.QUARANTINED)


class Result(NamedTuple):
    """What the load log says about one run."""

    files: list[File]
    rejects: list[Reject]
    usual: float | None  # lines of a usual night; None until there were three nights with new reports
    idle_days: float | None  # days since the last report came; None before the first run
    changes: list[Change]  # by people, since the night before began

    def total(self, count: str) -> int:
        """Return the sum of one of COUNTS over all files."""
        return sum(getattr(file, count) for file in self.files)

    def number_of(self, fate: Fate) -> int:
        """Return how many files have the fate."""
        return sum(file.status == fate for file in self.files)

    def said(self, fate: Fate, words: Language) -> str:
        """Return how many files have the fate, in words."""
        count = self.number_of(fate)
        return {
            Fate.LOADED: words.count("{n} loaded", "{n} loaded", count),
            Fate.DUPLICATE: words.count("{n} duplicate", "{n} duplicate", count),
            Fate.REFUSED: words.count("{n} refused", "{n} refused", count),
            Fate.QUARANTINED: words.count("{n} quarantined", "{n} quarantined", count),
        }[fate]

    @property
    def zips(self) -> list[str]:
        """The names of the run's zips, sorted."""
        return sorted({file.archive_name for file in self.files if file.archive_name})


@dataclass(frozen=True)
class Digest:
    """Everything that people are told about one run."""

    run_id: str
    status: int  # exit status
    journal: Journal
    result: Result | None  # None: Postgres could not be reached
    waiting: int | None  # reports left in the work directory; None: unknown
    expect_days: float | None  # EXPECT_FILES_WITHIN_DAYS
    unreached: dict[str, str] = field(default_factory=dict)  # channel: why it did not take the last message
    hours_locked: float | None = None  # how long another run has held the lock; None: no alert about the lock
    host: str = field(default_factory=socket.gethostname)

    @property
    def severity(self) -> Severity:
        """How serious the run is."""
        if self.status not in (Status.DONE, Status.REFUSED):
            return Severity.FAILED
        return Severity.WARNING if self.status or self.warnings else Severity.OK

    @property
    def errors(self) -> list[str]:
        """What stopped the run or a part of it, a sentence each."""
        killed = any(stage == "etl" and status is None for stage, status, _ in self.journal.ended)
        more = ["etl: night.py was killed; the next run continues"] if killed else []
        if self.hours_locked is not None:
            held = f"{self.hours_locked:.0f} hours" if math.isfinite(self.hours_locked) else "an unknown time"
            more.append(
                f"the lock has been held for {held}. Hint: see whether what holds the lock hangs; end it if it is no run."
            )
        return self.journal.errors + more

    @property
    def warnings(self) -> list[str]:
        """What somebody should look at in the morning, a sentence each."""
        unreached = [f"{name} was not reached the last time: {why}" for name, why in self.unreached.items()]
        return self.journal.warnings + ([*self._volume_warnings(), *self._silence_warnings()] if self.result else []) + unreached

    def _volume_warnings(self) -> list[str]:
        assert self.result
        read, usual = self.result.total("rows_read"), self.result.usual
        if not read or not usual or usual / FAR <= read <= usual * FAR:
            return []
        return [f"{count_of(read, 'line')} came; the usual is {usual:,.0f} (median of the last nights with files)"]

    def _silence_warnings(self) -> list[str]:
        assert self.result
        days = self.result.idle_days
        if not self.expect_days or not days or days <= self.expect_days:
            return []
        return [f"no report has come for {days:.0f} days. Hint: ask the sender."]

    @property
    def files_by_status(self) -> dict[str, float]:
        """How many reports have each fate; ``deferred`` counts reports left on the server for the next run."""
        known = {} if self.result is None else {fate: self.result.number_of(fate) for fate in FATES}
        return known | ({"deferred": left} if (left := self.journal.facts.get("left")) is not None else {})

    @property
    def lines_by_status(self) -> dict[str, float]:
        """How many lines were loaded, and how many rejected; empty without a result."""
        return {} if self.result is None else {count: self.result.total(f"rows_{count}") for count in ("loaded", "rejected")}

    def headline(self, words: Language) -> str:
        """Return the run in a few words."""
        if self.severity is Severity.FAILED:
            fact = self.errors[0].partition(HINT)[0] if self.errors else ""
            return words.quote(fact) or words("exit status {status}", status=self.status)
        if self.result is None:
            return words("done; Postgres could not be reached for the figures")
        if not self.result.files:
            warnings = words.count("{n} warning", "{n} warnings", len(self.warnings))
            return words("nothing new") + (f"; {warnings}" if self.warnings else "")
        bad = [self.result.said(fate, words) for fate in (Fate.REFUSED, Fate.QUARANTINED) if self.result.number_of(fate)]
        files, loaded = len(self.result.files), words.number(self.result.number_of(Fate.LOADED))
        said = words.count("{loaded} of {n} file loaded", "{loaded} of {n} files loaded", files, loaded=loaded)
        lines, loaded = self.result.total("rows_read"), words.number(self.result.total("rows_loaded"))
        return ", ".join([said, *bad, words.count("{loaded} of {n} line", "{loaded} of {n} lines", lines, loaded=loaded)])


def gather(cursor: cursor, run_id: str) -> Result:
    """Return what the load log says about a run."""
    of_run = {"run_id": run_id}
    return Result(
        [File(*row) for row in rows(cursor, "notices/digest_files", of_run)],
        [Reject(*row) for row in rows(cursor, "notices/digest_rejects", of_run)],
        one(cursor, "notices/digest_usual", of_run)[0],
        to_float(one(cursor, "notices/digest_last_file")[0]),
        [Change(*row) for row in rows(cursor, "notices/digest_changes", of_run)],
    )


def to_float(found: object) -> float | None:
    """Return a number of Postgres as float; NULL is None."""
    return None if found is None else float(str(found))

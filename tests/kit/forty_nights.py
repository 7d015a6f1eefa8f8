"""Forty nights through the real program, and the figures of their monthly reports, counted from the delivered files."""

import hashlib
import os
import random
import signal
import subprocess
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from time import sleep
from typing import Any

from kit.night import Night
from kit.samples import HEADER
from kit.servers import ETL

FIRST = date(2012, 12, 5)  # the nights cross the end of a month and of a year
NIGHTS = 40
LOCAL = timedelta(hours=-6)  # America/Mexico_City in winter
MAX_ERROR_RATE = 0.5
BAD = {  # code: email, fecha_envio and opens of a line with that fault
    "email-invalid": ("nobody", "08/12/2012 18:30", "0"),
    "date-missing": ("x@example.com", "-", "0"),
    "date-invalid": ("x@example.com", "31/02/2013 10:00", "0"),
    "number-invalid": ("x@example.com", "08/12/2012 18:30", "1_000"),
}


@dataclass
class Told:
    """What the monthly report must say about one day."""

    day: date
    nights: int = 0
    failed: int = 0
    seconds: float | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    read: int = 0
    loaded: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    new: int = 0
    updated: int = 0
    notable: list[tuple[str, str, int, str]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    zips: set[str] = field(default_factory=set)


class Forty:
    """Forty nights, and the count of everything that they must bring."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.chance = random.Random(40)
        self.days: list[Told] = []
        self.number = 0  # of the latest report
        self.known: dict[str, bytes] = {}  # name: the content loaded last under that name
        self.loaded_as: dict[str, str] = {}  # SHA-256 of a loaded content: the name of its file
        self.people: set[str] = set()
        self.campaigns: Counter[tuple[date, str]] = Counter()
        self.failures: list[tuple[datetime, str, int | None, float | None]] = []
        self.waiting: list[tuple[str, bytes, str]] = []  # on the server, since a night that could not pull
        self.late: list[tuple[str, bytes, str]] = []  # reports that come a night after their successors
        for index in range(NIGHTS):
            self.run(index)

    # What is delivered

    def report(self, rows: int, bad: int) -> bytes:
        """Return a report with ``rows`` good and ``bad`` faulty lines."""
        lines = []
        for _ in range(rows):
            person = f"p{self.chance.randrange(120)}@example.com"
            sent = FIRST + timedelta(days=self.chance.randrange(NIGHTS))
            opened = f"{sent:%d/%m/%Y} 20:15" if self.chance.random() < 0.4 else "-"
            clicked = f"{sent:%d/%m/%Y} 20:20" if opened != "-" and self.chance.random() < 0.3 else "-"
            bounced = "HARD" if opened == "-" and self.chance.random() < 0.2 else ""
            left = "SI" if self.chance.random() < 0.1 else ""
            lines.append(f"{person},,{bounced},{left},{sent:%d/%m/%Y} 18:30,{opened},0,0,{clicked},0,0,-,-,-,-")
        for _ in range(bad):
            email, sent_at, opens = BAD[self.chance.choice(sorted(BAD))]
            lines.append(f"{email},,,,{sent_at},-,{opens},0,-,0,0,-,-,-,-")
        self.chance.shuffle(lines)
        return HEADER + "".join(f"{text}\r\n" for text in lines).encode()

    def next_name(self) -> str:
        self.number += 1
        return f"report_{self.number}.txt"

    def deliveries(self, index: int) -> list[tuple[str, bytes, str]]:
        """Return name, content and fate of each file that comes in one night."""
        found, self.late = self.late, []
        if index % 7 == 5:
            return found
        for _ in range(self.chance.randrange(1, 4)):
            found.append((self.next_name(), self.report(self.chance.randrange(4, 15), self.chance.randrange(3)), "loaded"))
        if index % 6 == 3:  # the same bytes, under a new name
            found.append((self.next_name(), self.known[self.chance.choice(sorted(self.known))], "duplicate"))
        if index % 8 == 4:
            found.append((self.next_name(), b"no header\r\n" + str(index).encode(), "refused"))
        if index % 9 == 6:
            found.append((self.next_name(), self.report(2, 6), "quarantined"))
        if index % 11 == 7:  # a known name, another content
            found.append((self.chance.choice(sorted(self.known)), self.report(5, 0), "loaded"))
        if index % 10 == 8:  # one report comes after its successor, another never comes
            self.late.append((self.next_name(), self.report(3, 0), "loaded"))
            self.number += 1
            found.append((self.next_name(), self.report(4, 1), "loaded"))
        return found

    # How a night goes

    def run(self, index: int) -> None:
        """Run one night. Most nights are good; some fail, one is killed, one never begins."""
        day = FIRST + timedelta(days=index)
        self.days.append(told := Told(day))
        came = self.deliveries(index)
        for name, content, _ in came:
            self.night.deliver(name, content)
        self.waiting += came
        if index == 17:  # the machine was off
            return
        zips = set(self.night.backups.glob("*.zip")) if self.night.backups.exists() else set()
        if index == 23:
            self.kill(told)
            return
        fails = index in (11, 30)
        changed = {"SFTP_PORT": "1"} if fails else {}
        done = self.night.run(AS_OF=str(day), MAX_ERROR_RATE=str(MAX_ERROR_RATE), **changed)
        fates = [] if fails else [fate for _, _, fate in self.waiting]
        expected = 10 if fails else 3 if {"refused", "quarantined"} & {*fates} else 0
        assert done.returncode == expected, done.stderr
        seconds = 2.0 + index / 4
        self.date(day, seconds)
        told.nights, told.failed, told.seconds = 1, int(fails), seconds
        told.zips = {path.name for path in set(self.night.backups.glob("*.zip")) - zips}
        if fails:
            self.failures.append((self.began(day), "failed", 10, seconds))
            return
        for name, content, fate in self.waiting:
            self.count(told, name, content, fate)
        self.waiting = []
        self.notice_gaps(told)

    def kill(self, told: Told) -> None:
        """Run a night and kill it in its middle."""
        with self.hanging() as process:
            while not self.night.sql("select 1 from load_run where status = 'running'"):
                assert process.poll() is None
                sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.date(told.day, None)
        told.nights = told.failed = 1
        self.failures.append((self.began(told.day), "crashed", None, None))

    def hanging(self) -> subprocess.Popen[bytes]:
        """Start a night that waits for an SFTP server which never comes."""
        environment = self.night.environment(SFTP_PORT="1", RETRY_SECONDS="300", AS_OF=str(FIRST))
        return subprocess.Popen(["bash", str(ETL / "etl.sh")], env=environment, cwd="/", start_new_session=True)

    @staticmethod
    def began(day: date) -> datetime:
        return datetime.combine(day, time(0, 2))

    def date(self, day: date, seconds: float | None) -> None:
        """Move the last run in the load log, which was just now, to the night that it stands for."""
        began = self.began(day).replace(tzinfo=UTC) - LOCAL
        self.night.sql(
            "update load_run set started_at = %s, finished_at = %s where id = (select id from load_run order by id desc limit 1)",
            began,
            None if seconds is None else began + timedelta(seconds=seconds),
        )
        self.night.sql(
            "update load_file set first_seen_at = %s, loaded_at = %s, archived_at = %s, source_deleted_at = %s"
            " where run_id = (select id from load_run order by id desc limit 1)",
            *[began + timedelta(seconds=step) for step in range(4)],
        )
        self.night.sql(
            "update load_zip set proved_at = (select max(archived_at) from load_file where archive_name = load_zip.name)"
        )
        sleep(1 if seconds is None else 0)  # a run's id holds its second

    def count(self, told: Told, name: str, content: bytes, fate: str) -> None:
        """Add to the count what a file must bring."""
        told.statuses[fate] += 1
        if fate == "duplicate":
            original = self.loaded_as[hashlib.sha256(content).hexdigest()]
            told.notable.append((name, fate, 0, f"same bytes as {original}"))
            return
        if fate == "refused":
            told.codes["layout-header"] += 1
            told.notable.append((name, fate, 0, "layout-header"))
            return
        lines = [text.split(",") for text in content.decode().split("\r\n")[1:] if text]
        told.read += len(lines)
        told.codes.update(code for line in lines for code in self.faults(line))
        if fate == "quarantined":
            told.codes["error-rate"] += 1
            told.notable.append((name, fate, len(lines), "error-rate"))
            return
        if name in self.known:
            told.notable.append((name, fate, len(lines), "name known with another content; both are kept"))
        good = [line for line in lines if not self.faults(line)]
        told.loaded += len(good)
        people = {line[0] for line in good}
        told.new += len(people - self.people)
        told.updated += len(people & self.people)
        self.people |= people
        self.known[name] = content
        self.loaded_as[hashlib.sha256(content).hexdigest()] = name
        for line in good:
            sent = datetime.strptime(line[4], "%d/%m/%Y %H:%M").replace(tzinfo=UTC).date()
            self.campaigns.update({(sent, "sent"): 1, (sent, "hard"): line[2] == "HARD", (sent, "left"): line[3] == "SI"})
            self.campaigns.update({(sent, "opened"): line[5] != "-", (sent, "clicked"): line[8] != "-"})

    @staticmethod
    def faults(line: list[str]) -> list[str]:
        return [code for code, (email, sent, opens) in BAD.items() if (line[0], line[4], line[6]) == (email, sent, opens)]

    def notice_gaps(self, told: Told) -> None:
        """Note each gap once: a number that has not come, while a higher number has."""
        came = {name for name, *_ in self.night.sql("select distinct name from load_file")}
        before = {name for day in self.days for name in day.gaps}
        told.gaps = [
            name for number in range(1, self.number) if (name := f"report_{number}.txt") not in came and name not in before
        ]

    # What a monthly report must say

    def month(self, year: int, number: int) -> list[Told]:
        return [told for told in self.days if (told.day.year, told.day.month) == (year, number)]

    def figures(self, year: int, number: int) -> dict[str, Any]:
        """Return the figures of a month, by their names in the monthly report."""
        days = self.month(year, number)
        seconds = sorted(day.seconds for day in days if day.seconds is not None)
        half = len(seconds) // 2
        sums = Counter[str]()
        for (sent, what), count in self.campaigns.items():
            if (sent.year, sent.month) == (year, number):
                sums[what] += count
        delivered = sums["sent"] - sums["hard"]
        zips = [name for day in days for name in day.zips]
        read, loaded = sum(day.read for day in days), sum(day.loaded for day in days)
        statuses = sum((day.statuses for day in days), Counter[str]())
        return {
            "files processed": statuses.total(),
            "files loaded": statuses["loaded"],
            "files duplicate": statuses["duplicate"],
            "files refused": statuses["refused"],
            "files quarantined": statuses["quarantined"],
            "lines processed": read,
            "lines loaded": loaded,
            "lines rejected": read - loaded,
            "lines rejected, share": (read - loaded) / read,
            "visitors new": sum(day.new for day in days),
            "visitors updated": sum(day.updated for day in days),
            "nights": sum(day.nights for day in days),
            "nights failed": sum(day.failed for day in days),
            "nights without files": sum(day.nights > day.failed and not day.statuses for day in days),
            "days without a night": self.silent(year, number) + sum(not day.nights for day in days),
            "night's duration, median seconds": seconds[half] if len(seconds) % 2 else sum(seconds[half - 1 : half + 1]) / 2,
            "night's duration, longest seconds": seconds[-1],
            "gaps in the consecutive numbers": sum(len(day.gaps) for day in days),
            "backups": len(zips),
            "backups, bytes": sum((self.night.backups / name).stat().st_size for name in zips),
            "backups missing": 0,
            "mails sent in the month": sums["sent"],
            "mails bounced for good": sums["hard"],
            "mails opened": sums["opened"],
            "mails clicked": sums["clicked"],
            "mails that unsubscribed": sums["left"],
            "bounced, share of the sent": sums["hard"] / sums["sent"],
            "opened, share of the delivered": sums["opened"] / delivered,
            "clicked, share of the delivered": sums["clicked"] / delivered,
            "clicked, share of the opened": sums["clicked"] / sums["opened"],
            "unsubscribed, share of the delivered": sums["left"] / delivered,
        }

    @staticmethod
    def silent(year: int, number: int) -> int:
        """Return how many days of the month come after the forty nights: days without a night as well."""
        end = FIRST + timedelta(days=NIGHTS)
        return sum((day.year, day.month) == (year, number) for day in (end + timedelta(days=n) for n in range(31)))

    def zipped(self) -> int:
        """Return how many reports all zips hold together."""
        return sum(len(zipfile.ZipFile(path).namelist()) - 1 for path in self.night.backups.glob("*.zip"))

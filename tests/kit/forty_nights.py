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
class Came:
    """A report that came, and what the monthly report must say about it."""

    name: str
    content: bytes
    status: str  # the fate of the delivery
    lines: int = 0  # in the table of reports
    read: int = 0
    loaded: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    new: int = 0
    updated: int = 0
    mails: Counter[tuple[date, str]] = field(default_factory=Counter)
    why: str = ""
    since: str = ""
    fate: str = ""  # by now

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def counts_no_longer(self) -> None:
        self.read = self.loaded = self.new = self.updated = 0
        self.codes, self.mails = Counter(), Counter()


@dataclass
class Told:
    """What the monthly report must say about one day."""

    day: date
    nights: int = 0
    failed: int = 0
    seconds: float | None = None
    came: list[Came] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    zips: set[str] = field(default_factory=set)

    @property
    def statuses(self) -> Counter[str]:
        return Counter(came.status for came in self.came)

    @property
    def read(self) -> int:
        return sum(came.read for came in self.came)

    @property
    def loaded(self) -> int:
        return sum(came.loaded for came in self.came)

    @property
    def codes(self) -> Counter[str]:
        return sum((came.codes for came in self.came), Counter[str]())

    @property
    def notable(self) -> list[Came]:
        return [came for came in self.came if came.why or came.since]


class Forty:
    """Forty nights, and the count of everything that they must bring."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.chance = random.Random(40)
        self.days: list[Told] = []
        self.number = 0  # of the latest report
        self.known: dict[str, bytes] = {}  # name: the content loaded last under that name
        self.loaded_as: dict[str, str] = {}  # SHA-256 of a loaded content: the name of its file
        self.quarantined: dict[str, Came] = {}  # by SHA-256
        self.people: set[str] = set()
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
            clicked = f"{sent:%d/%m/%Y} 20:20" if self.chance.random() < 0.2 else "-"  # also where no open was seen
            bounced = "HARD" if self.chance.random() < 0.15 else ""  # also where an open was seen
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
        if index == 25:  # the bytes of the night before, quarantined again
            found.append((self.next_name(), [*self.quarantined.values()][-1].content, "quarantined"))
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
            told.came.append(self.count(name, content, fate))
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

    def count(self, name: str, content: bytes, fate: str) -> Came:
        """Return what a file must bring."""
        came = Came(name, content, fate, fate=fate)
        if fate == "duplicate":
            came.why = f"same bytes as {self.loaded_as[came.sha256]}"
        elif fate == "refused":
            came.codes["layout-header"] += 1
            came.why = "layout-header"
        elif fate == "quarantined":
            lines = self.lines_of(content)
            came.lines = came.read = len(lines)
            came.codes.update(["error-rate", *(code for line in lines for code in self.faults(line))])
            came.why = "error-rate"
            if before := self.quarantined.get(came.sha256):
                before.counts_no_longer()
                before.since = "the same bytes came again and count there"
            self.quarantined[came.sha256] = came
        else:
            came.why = "name known with another content" if name in self.known else ""
            self.count_loaded(came)
        return came

    def count_loaded(self, came: Came) -> None:
        """Count the lines of a loaded file."""
        lines = self.lines_of(came.content)
        good = [line for line in lines if not self.faults(line)]
        came.fate, came.lines, came.read, came.loaded = "loaded", len(lines), len(lines), len(good)
        came.codes = Counter(code for line in lines for code in self.faults(line))
        people = {line[0] for line in good}
        came.new, came.updated = len(people - self.people), len(people & self.people)
        self.people |= people
        self.known[came.name] = came.content
        self.loaded_as[came.sha256] = came.name
        for line in good:
            sent = datetime.strptime(line[4], "%d/%m/%Y %H:%M").replace(tzinfo=UTC).date()
            is_bounced = line[2] == "HARD"
            came.mails.update({(sent, "sent"): 1, (sent, "bounced" if is_bounced else "delivered"): 1})
            if not is_bounced:
                came.mails.update({(sent, "left"): line[3] == "SI", (sent, "opened"): line[5] != "-"})
                came.mails.update({(sent, "clicked"): line[8] != "-", (sent, "both"): "-" not in (line[5], line[8])})

    @staticmethod
    def lines_of(content: bytes) -> list[list[str]]:
        return [text.split(",") for text in content.decode().split("\r\n")[1:] if text]

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

    # What people change afterwards

    def change(self) -> None:
        """Reload two quarantined reports, and undo a loaded one."""
        first, *_, last = self.quarantined.values()
        for came in (first, last):
            self.command("reload", came, MAX_ERROR_RATE="1")
            self.count_loaded(came)
            came.since = f"reload, {came.read} lines"
        duplicates = {came.sha256 for came in self.came if came.status == "duplicate"}
        names = Counter(came.name for came in self.came)
        is_alone = [came for came in self.came if came.status == "loaded" and names[came.name] == 1 and came.codes]
        undone = next(came for came in is_alone[5:] if came.sha256 not in duplicates)
        self.command("undo", undone)
        undone.since = f"undo, {undone.read} lines"
        undone.status, undone.fate, undone.lines = "undone", "undone", 0
        undone.counts_no_longer()

    def command(self, what: str, came: Came, **settings: str) -> None:
        ((file_id,),) = self.night.sql("select max(id) from load_file where name = %s and sha256 = %s", came.name, came.sha256)
        done = self.night.run(what, "--id", str(file_id), "--yes", **settings)
        assert done.returncode == 0, done.stderr

    # What a monthly report must say

    @property
    def came(self) -> list[Came]:
        return [came for day in self.days for came in day.came]

    @property
    def mails(self) -> Counter[tuple[date, str]]:
        """The mails of each day of sending, by what became of them."""
        return sum((came.mails for came in self.came), Counter[tuple[date, str]]())

    def month(self, year: int, number: int) -> list[Told]:
        return [told for told in self.days if (told.day.year, told.day.month) == (year, number)]

    def mails_of(self, *days: date) -> list[float | None]:
        """Return the figures of the mails that were sent on some days, as a row of the monthly report has them."""
        sums = Counter[str]()
        for (sent, what), count in self.mails.items():
            if sent in days:
                sums[what] += count
        counts = [sums[what] for what in ("sent", "delivered", "opened", "clicked", "left")]
        rates = [sums["delivered"] / sums["sent"]] if sums["sent"] else [None]
        return [*counts, *rates, *(count / sums["delivered"] if sums["delivered"] else None for count in counts[2:])]

    def days_of_sending(self, year: int, number: int) -> list[date]:
        return sorted({sent for sent, _ in self.mails if (sent.year, sent.month) == (year, number)})

    def headlines(self, year: int, number: int) -> dict[str, float | None]:
        """Return the headline figures of a month, by their names."""
        sent, _, _, _, _, delivered, opened, clicked, _ = self.mails_of(*self.days_of_sending(year, number))
        loading = self.loading(year, number)
        return {
            "mails sent": sent,
            "delivered, of the sent": delivered,
            "opened, of the delivered": opened,
            "clicked, of the delivered": clicked,
            "lines rejected, of the read": loading["lines rejected, of the read"],
            "nights that failed": sum(day.failed for day in self.month(year, number)),
        }

    def loading(self, year: int, number: int) -> dict[str, float | None]:
        """Return what the reports of a month brought, by the names in the monthly report."""
        came = [came for day in self.month(year, number) for came in day.came]
        fates = Counter(each.fate for each in came)
        read, loaded = sum(each.read for each in came), sum(each.loaded for each in came)
        return {
            "reports that came": len(came),
            "reports loaded": fates["loaded"],
            "reports with the bytes of a loaded one": fates["duplicate"],
            "reports refused": fates["refused"],
            "reports quarantined": fates["quarantined"],
            "reports undone": fates["undone"],
            "lines read": read,
            "lines loaded": loaded,
            "lines rejected": read - loaded,
            "lines rejected, of the read": (read - loaded) / read if read else None,
            "visitors new": sum(each.new for each in came),
            "visitors updated": sum(each.updated for each in came),
        }

    def silent(self, year: int, number: int) -> list[date]:
        """Return the days of the month without a night: that of the forty, and all that come after them."""
        end = FIRST + timedelta(days=NIGHTS)
        days = [told.day for told in self.days if not told.nights] + [end + timedelta(days=n) for n in range(31)]
        return [day for day in days if (day.year, day.month) == (year, number)]

    def zipped(self) -> int:
        """Return how many reports all zips hold together."""
        return sum(len(zipfile.ZipFile(path).namelist()) - 1 for path in self.night.backups.glob("*.zip"))

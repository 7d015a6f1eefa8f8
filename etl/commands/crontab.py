"""The crontab of the user who runs the night: the line that starts it, and when."""

import codecs
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dateutil import tz

from base.settings import ROOT, Settings
from base.trouble import StageError, Status

Range = tuple[int, int, tuple[str, ...]]  # the least and the greatest number of a field, and names for them, from the least on

HOUR, MINUTE = 0, 2  # of the line that make schedule writes, if no hour is given
DEFAULT = f"{MINUTE} {HOUR} * * *"
LINE = re.compile(r"\s*(?P<when>@\w+|[\d*](?:\S*\s+){4}\S+)\s+(?P<command>.*)")  # neither a comment nor a variable
ONLY_BASH = re.compile(r"\$'((?:[^'\\]|\\.)*)'")  # a quote that sh, which cron calls, does not know
AT = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *"}
AT |= {"@midnight": AT["@daily"], "@hourly": "0 * * * *"}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
RANGES: tuple[Range, ...] = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 7, DAYS))
PART = re.compile(r"(?P<all>\*)?(?P<first>\w+)?(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
ONE_DAY = 24 * 60  # starts at the most
FAR = 5 * 366  # days to look ahead: a 29th of February is among them


class Entry(NamedTuple):
    """A line that starts the night in this folder."""

    line: str
    when: str  # the five fields of its time, or @daily and the like
    command: str

    @property
    def can_run(self) -> bool:
        """Whether sh can run it."""
        return not ONLY_BASH.search(self.command)

    def starts(self, first: datetime) -> Iterator[datetime]:
        """Yield when cron starts it, in the machine's zone, from a moment on; nothing if its time is none of the clock."""
        try:
            minutes, hours, days, months, weekdays = map(numbers, AT.get(self.when, self.when).split(), RANGES)
        except ValueError:
            return
        either = "*" not in {field[:1] for field in AT.get(self.when, self.when).split()[2:5:2]}  # then one of both is enough
        here = first.astimezone()
        for offset in range(FAR):
            day = here.date() + timedelta(days=offset)
            of_month, of_week = day.day in days, bool({day.isoweekday(), day.isoweekday() % 7} & weekdays)
            if day.month in months and (of_month or of_week if either else of_month and of_week):
                times = (time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes))
                starts = (datetime.combine(day, at).astimezone() for at in times)
                yield from (start for start in starts if start > here)


def numbers(field: str, limits: Range) -> set[int]:
    """Return the numbers that a field of a crontab line names, or raise ValueError."""
    low, high, names = limits

    def number(word: str) -> int:
        found = int(word) if word.isdecimal() else low + names.index(word.lower())
        if not low <= found <= high:
            raise ValueError(word)
        return found

    found: set[int] = set()
    for text in field.split(","):
        part = PART.fullmatch(text)
        if not part or bool(part["all"]) == bool(part["first"]):
            raise ValueError(text)
        first = low if part["all"] else number(part["first"])
        last = number(part["last"]) if part["last"] else high if part["all"] or part["step"] else first
        found |= set(range(first, last + 1, int(part["step"] or 1)))
    return found


def new_line(hour: int) -> str:
    """Return the line that starts the night in this folder, as every sh and every locale reads it."""
    if "\n" in str(ROOT):
        raise StageError(Status.SETTINGS, "the name of this folder has a line break.", "give the folder another name.")
    folder = shlex.quote(str(ROOT)).replace("%", r"\%")  # to cron a bare % is a line break
    return f"{MINUTE} {hour} * * * cd {folder} && bash etl/etl.sh &"


def read_lines() -> list[str]:
    """Return the lines of this user's crontab, or raise StageError if it cannot be read."""
    said = run_crontab(["-l"])
    if said.returncode and b"no crontab" not in said.stderr:
        raise refusal(said)
    return os.fsdecode(said.stdout).splitlines()


def write_lines(lines: list[str]) -> None:
    """Replace this user's crontab, or raise StageError."""
    said = run_crontab(["-"], os.fsencode("".join(f"{line}\n" for line in lines)))
    if said.returncode:
        raise refusal(said)


def run_crontab(arguments: list[str], text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Call crontab, in the one language whose sentences we know."""
    try:
        return subprocess.run(
            ["crontab", *arguments], input=text, env=os.environ | {"LC_ALL": "C"}, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise StageError(Status.SETTINGS, "cron is not installed.", "sudo apt install cron, then make schedule.") from error


def refusal(said: subprocess.CompletedProcess[bytes]) -> StageError:
    """Return what crontab says against us."""
    words = " ".join(os.fsdecode(said.stderr).split())
    return StageError(Status.SETTINGS, f"crontab says: {words}.", "an administrator lets users in /etc/cron.allow.")


def entry_of(line: str) -> Entry | None:
    """Return a line that starts the night in this folder; None of every other line."""
    found = LINE.fullmatch(line)
    if not found or ROOT not in (folder_of(found["command"]), folder_of(os.path.expandvars(found["command"]))):
        return None
    return Entry(line.strip(), found["when"], found["command"])


def folder_of(command: str) -> Path | None:
    """Return the folder whose etl/etl.sh a command of a crontab runs, None if it runs none."""
    plain = ONLY_BASH.sub(lambda found: shlex.quote(decode_escapes(found[1])), command.replace(r"\%", "%"))
    words = shlex.shlex(plain, posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, ""
    before = ""
    try:
        folder = Path.home()  # cron starts there
        for word in words:
            path = Path(word).expanduser()
            if before == "cd":
                folder /= path
            elif path.parts[-2:] == ("etl", "etl.sh"):
                return (folder / path).resolve().parent.parent
            before = word
    except (ValueError, RuntimeError):  # an open quote; a home of nobody
        pass
    return None


def decode_escapes(text: str) -> str:
    r"""Return what stands in bash's ``$'...'``: ``\303\261`` is ñ."""
    return os.fsdecode(codecs.escape_decode(os.fsencode(text))[0])


def entries() -> list[Entry]:
    """Return the lines that start the night in this folder, or raise StageError if there is none that cron can run."""
    found = [entry for line in read_lines() if (entry := entry_of(line))]
    if not found:
        raise StageError(Status.SETTINGS, "your crontab has no line that runs etl/etl.sh in this folder.", "run make schedule.")
    for entry in found:
        if not entry.can_run:
            raise StageError(Status.SETTINGS, f"sh, which cron calls, cannot run {entry.line}", "run make schedule.")
    return found


def cron(_: Settings) -> str:
    """Verify that the cron line is installed."""
    return " and ".join(entry.line for entry in entries())


def clock(settings: Settings) -> str:
    """Verify that a night begins on the day that it is in TIMEZONE; without a cron line, that a new one would do so."""
    try:
        scheduled = entries()
    except StageError:  # another row of the table tells it
        scheduled = [Entry("", DEFAULT, "")]
    for entry in scheduled:
        if start := start_on_another_day(entry, settings):
            there = start.astimezone(tz.gettz(settings.timezone))
            day = "the day before" if there.date() < start.date() else "the next day"
            said = f"when cron starts the night ({start:%H:%M %Z}), it is {there:%H:%M} of {day} in {settings.timezone}."
            hours = (hour for hour in range(24) if not start_on_another_day(Entry("", f"{MINUTE} {hour} * * *", ""), settings))
            hour = next(hours, None)
            hint = "give the machine that time zone" if hour is None else f"run make schedule HOUR={hour}"
            raise StageError(Status.SETTINGS, said, f"{hint}: then both have the same day.")
    return f"{settings.timezone}, today is {settings.as_of}"


def start_on_another_day(entry: Entry, settings: Settings) -> datetime | None:
    """Return a start that has another date in TIMEZONE, as clocks change with the seasons; None if each month has a good one."""
    for month in range(1, 13):
        starts = list(islice(entry.starts(datetime(settings.now().year, month, 1, tzinfo=UTC)), ONE_DAY))
        on_first = [start for start in starts if start.date() == starts[0].date()]
        if on_first and not any(start.date() == start.astimezone(tz.gettz(settings.timezone)).date() for start in on_first):
            return on_first[0]
    return None

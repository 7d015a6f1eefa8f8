"""The cron line: any sh runs it, in any folder and locale; check and status read the real one."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from shlex import quote

import pytest

from base.settings import ROOT, Settings
from base.trouble import StageError
from commands import crontab
from commands.crontab import Entry
from kit.checkout import Checkout
from kit.servers import crontab_of_tests

pytestmark = pytest.mark.xdist_group("crontab")  # there is one of it
FOLDERS = ["plain", "visitas año", 'it\'s "50%" (of) $HOME & `more`', "tab\there\\n"]
HERE = quote(str(ROOT))
LOCALES = ["C", "C.UTF-8", "POSIX"]
OTHERS = [
    "# a comment with etl/etl.sh",
    "MAILTO=ops@example.org",
    "17 3 * * * true",
    "2 0 * * * cd /srv/other && bash etl/etl.sh &",
]


@pytest.fixture
def free_crontab() -> Iterator[None]:
    """This user's crontab with lines of others; put back as it was."""
    with crontab_of_tests("".join(f"{line}\n" for line in OTHERS)):
        yield


def installed() -> list[str]:
    return os.fsdecode(subprocess.run(["crontab", "-l"], capture_output=True, check=True).stdout).splitlines()


def where(line: str) -> str:
    """The folder in which sh, called as cron calls it, would start the night."""
    command = line.removeprefix("2 0 * * * ").replace(r"\%", "%").replace("bash etl/etl.sh &", "pwd")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, env={"LC_ALL": "C"}, check=True)
    return os.fsdecode(done.stdout).rstrip("\n")


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("locale", LOCALES)
def test_any_folder_in_any_locale(free_crontab: None, tmp_path: Path, name: str, locale: str) -> None:
    checkout = Checkout(tmp_path / name)
    for _ in range(2):
        done = checkout.make("schedule", LC_ALL=locale)
        assert done.returncode == 0, done.stderr
    *others, line = installed()
    assert others == OTHERS
    assert where(line) == str(checkout.folder)
    assert checkout.make("clean").returncode == 2
    other = LOCALES[LOCALES.index(locale) - 1]
    assert checkout.make("unschedule", LC_ALL=other).stdout == "The cron line is gone.\n"
    assert installed() == OTHERS


def test_a_line_that_sh_cannot_run_is_written_anew(free_crontab: None, tmp_path: Path) -> None:
    """As the version before wrote it, for a folder with accents under LANG=C."""
    checkout = Checkout(tmp_path / "año")
    quoted = subprocess.run(
        ["bash", "-c", 'printf %q "$0"', checkout.folder], capture_output=True, env={"LC_ALL": "C"}, check=True
    )
    old = f"7 5 * * * cd {quoted.stdout.decode()} && bash etl/etl.sh &"
    assert "$'" in old
    subprocess.run(["crontab", "-"], input=f"{old}\nPATH=/bin\n".encode(), check=True)
    checkout.make("schedule")
    line, after = installed()
    assert after == "PATH=/bin"  # what follows it stays behind it
    assert line.startswith("7 5 * * * cd ")
    assert where("2 0 * * * " + line.removeprefix("7 5 * * * ")) == str(checkout.folder)


def test_the_hour(free_crontab: None, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "here")
    checkout.make("schedule")
    checkout.make("schedule", "HOUR=6")
    assert [line for line in installed() if str(tmp_path) in line] == [f"2 6 * * * cd {checkout.folder} && bash etl/etl.sh &"]
    edited = f"5 7 * * * cd {checkout.folder} && nice bash etl/etl.sh > /dev/null"
    subprocess.run(["crontab", "-"], input=f"{edited}\n".encode(), check=True)
    checkout.make("schedule")
    assert installed() == [edited]  # what somebody wrote stays
    assert checkout.make("unschedule").stdout == "The cron line is gone.\n"
    assert checkout.make("unschedule").stdout == "There was no cron line of this folder.\n"


def test_a_crontab_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "here")
    fake = tmp_path / "bin" / "crontab"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = -l ] || echo written > "$0.out"\necho "you are not allowed" >&2\nexit 1\n')
    fake.chmod(0o755)
    done = checkout.make("schedule", PATH=f"{fake.parent}:/usr/bin:/bin")
    assert "crontab says: you are not allowed." in done.stderr
    assert not fake.with_name("crontab.out").exists()


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (f"cd {HERE} && bash etl/etl.sh &", ROOT),
        (f"bash {HERE}/etl/etl.sh>/dev/null 2>&1", ROOT),
        (f"cd '{ROOT}/sql/..';./etl/etl.sh --as-of 2013-02-15", ROOT),
        (r"cd $'/srv/a\303\261o b\'c' && bash etl/etl.sh", Path("/srv/año b'c")),
        (r"cd /srv/a\ b\%c && bash etl/etl.sh", Path("/srv/a b%c")),
        ("cd ~/visits && bash etl/etl.sh", Path.home() / "visits"),
        ("echo 'open", None),
        ("cd /srv && make test", None),
    ],
)
def test_the_folder_of_a_line(command: str, folder: Path | None) -> None:
    assert crontab.folder_of(command) == folder


@pytest.mark.parametrize(
    ("when", "starts"),
    [
        ("2 0 * * *", ["11-28 00:02", "11-29 00:02"]),
        ("@daily", ["11-28 00:00", "11-29 00:00"]),
        ("*/30 7-8 * * *", ["11-27 07:30", "11-27 08:00"]),
        ("0,30 1 * * mon-fri", ["11-30 01:00", "11-30 01:30"]),
        ("2 0 1 * 7", ["11-29 00:02", "12-01 00:02"]),
        ("2 0 29 feb *", ["02-29 00:02"]),
        ("@reboot", []),
        ("2 0 x * *", []),
        ("2 24 * * *", []),
    ],
)
def test_when_cron_starts_a_line(monkeypatch: pytest.MonkeyPatch, when: str, starts: list[str]) -> None:
    now = datetime(2026, 11, 27, 7, 0, tzinfo=UTC)
    assert [f"{start:%m-%d %H:%M}" for start in islice(Entry("", when, "").starts(now), 2)] == starts


@pytest.mark.parametrize(
    ("zone", "when", "hour"),
    [
        ("America/Mexico_City", "2 0 * * *", 6),
        ("America/Mexico_City", "2 6 * * *", None),
        ("America/Mexico_City", "2 5 * * *", 6),
        ("America/New_York", "2 4 * * *", 5),  # good in summer, not in winter
        ("America/New_York", "2 5 * * *", None),
        ("Asia/Tokyo", "2 0 * * *", None),
        ("Asia/Tokyo", "2 15 * * *", 0),
        ("UTC", "@daily", None),
        ("America/Mexico_City", "0 * * * *", None),  # one of the day's nights is enough
    ],
)
def test_the_hour_to_write(monkeypatch: pytest.MonkeyPatch, zone: str, when: str, hour: int | None) -> None:
    """On a machine whose clock has UTC."""
    monkeypatch.setattr(crontab, "entries", lambda: [Entry("", when, "")])
    settings = Settings(sftp_host="x", sftp_user="x", timezone=zone)
    if hour is None:
        assert crontab.clock(settings).startswith(zone)
        return
    with pytest.raises(StageError) as caught:
        crontab.clock(settings)
    assert f"run make schedule HOUR={hour}: then" in str(caught.value)

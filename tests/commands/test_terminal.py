"""What people see: tables at every width and in every locale, one zone, and a reader who leaves before the end."""

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ

import pytest
from rich.cells import cell_len

from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, OpenSSH, Postgres

pytestmark = pytest.mark.long

COMMANDS = [
    ("status",),
    ("check",),
    ("history",),
    ("history", "--file", "report_1.txt"),
    ("explain", "--email", "ana@example.com"),
    ("explain", "--file", "report_1.txt", "--line", "2"),
    ("last-run",),
    ("report", "--month", "2013-02"),
]
WIDTHS = ["40", "80", "200", "0", ""]
ODD = line("ana@example.com").replace(b"\r\n", " 😀 ñ\r\n".encode())


@pytest.fixture(scope="module")
def seen(postgres: Postgres, openssh: OpenSSH, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A night with a long name, a letter that few locales have, and a rejected line."""
    night = Night(tmp_path_factory.mktemp("seen"), openssh.settings() | {"DATABASE_URL": postgres.create("seen")})
    night.deliver("report_1.txt", report(ODD, line("nobody")))
    night.deliver("report_2.txt", report(*(line(f"p{number}@example.com") for number in range(1200))))
    assert night.run().returncode == 0
    yield night
    postgres.drop("seen")


def words(text: str) -> str:
    """The letters and figures of a text, however it is laid out."""
    return "".join(re.findall(r"\w", text))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_table_at_every_width(seen: Night, command: tuple[str, ...], width: str) -> None:
    done = seen.run(*command, COLUMNS=width)
    assert done.stderr == ""
    tabled = [
        row for row in done.stdout.splitlines() if not row.startswith(("As received", "/", "Zip: ", "ana@", "report_", "Run "))
    ]
    limit = int(width or 0) or 150
    assert max(cell_len(row) for row in tabled) <= limit or command[0] == "report", done.stdout
    assert not re.search(r"┃┃|││", done.stdout)  # columns without a width


def test_history_at_80_columns(seen: Night) -> None:
    done = seen.run("history", COLUMNS="80")
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d +done +\d+\.\d +2 +0 +1,202 +1,201 +1 *$", done.stdout, re.MULTILINE), (
        done.stdout
    )
    assert done.stdout.endswith("Times are in America/Mexico_City.\n")


def test_nothing_is_lost_at_40_columns(seen: Night) -> None:
    wide, narrow = (seen.run("history", COLUMNS=width).stdout for width in ("200", "40"))
    for cell in re.findall(r"[\w,.:-]+", wide):
        assert words(cell) in words(narrow), cell


LOCALES = [({"LC_ALL": "C"}, "ascii"), ({"LANG": "C"}, "ascii"), ({"PYTHONIOENCODING": "latin-1"}, "latin-1"), ({}, "utf-8")]


@pytest.mark.parametrize(("locale", "encoding"), LOCALES)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_locale(seen: Night, command: tuple[str, ...], locale: dict[str, str], encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ETL), *command], env=seen.environment(COLUMNS="80", **locale), capture_output=True, check=False
    )
    assert done.stderr == b""
    text = done.stdout.decode(encoding)
    if command[-1] == "2":
        assert {"ascii": r"\U0001f600 \xf1", "latin-1": r"\U0001f600 ñ", "utf-8": "😀 ñ"}[encoding] in text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_who_leaves(seen: Night, command: tuple[str, ...]) -> None:
    """Quiet; and what the command found is what it ends with."""
    found = seen.run(*command).returncode
    source, sink = os.pipe()
    os.close(source)
    done = subprocess.run(
        [sys.executable, str(ETL), *command], env=seen.environment(), stdout=sink, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(sink)
    assert (done.returncode, done.stderr) == (found, "")


def test_one_zone(seen: Night) -> None:
    """Whatever the machine's is."""
    for command in COMMANDS:
        texts = [
            re.sub(r"\d+ GB free|2\d{7}T\d{6}Z-\d+", "", seen.run(*command, TZ=zone).stdout) for zone in ("UTC", "Asia/Tokyo")
        ]
        if command[0] != "check":  # it speaks of the machine's clock
            assert texts[0] == texts[1]
        if re.search(r"\d\d:\d\d", texts[0]) and command != ("explain", "--email", "ana@example.com"):  # reports have no zone
            assert "America/Mexico_City" in texts[0], command


def test_a_terminal_without_a_size(seen: Night) -> None:
    """As a serial line or ``docker exec`` has it; then one of 40 columns."""
    for columns, limit in ((0, 150), (40, 40)):
        ours, theirs = pty.openpty()
        ioctl(theirs, TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))
        done = subprocess.Popen([sys.executable, str(ETL), "history"], env=seen.environment(TERM="dumb"), stdout=theirs)
        os.close(theirs)
        text = b""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                text += os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                break
        assert done.wait(PATIENCE) == 0
        os.close(ours)
        rows = text.decode().splitlines()
        assert rows
        assert max(map(cell_len, rows)) <= limit
        assert "done" in text.decode()


def test_looking_makes_nothing(seen: Night, tmp_path: Path) -> None:
    folders = {name: str(tmp_path / "new" / name) for name in ("WORK_DIR", "BACKUP_DIR", "LOG_DIR")}
    for command in (*COMMANDS[:-1], ("verify-backups",)):
        done = seen.run(*command, **folders, METRICS_FILE=str(tmp_path / "metrics" / "x.prom"))
        assert list(tmp_path.iterdir()) == [], command
        if command == ("check",):
            assert done.stdout.count("made by the first night") == 4

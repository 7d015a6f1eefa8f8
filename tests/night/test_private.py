"""What stays inside: lines of people, files, secrets."""

import os
import re
import resource
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import psutil
import pytest

from commands.report import as_cell
from kit.night import Night
from kit.receivers import mail_sink
from kit.samples import line, report
from kit.servers import ETL, execute, wait_for

PERSON = ("Ana Lopez", "555-0100", "10.0.0.7", "ana.lopez")
FIRST = b"ana.lopez@example.com,Ana Lopez,555-0100,10.0.0.7\r\n"


def test_a_refused_file_whose_first_line_is_data(night: Night) -> None:
    night.deliver("report_1.txt", FIRST)
    month = f"{datetime.now(UTC):%Y-%m}"
    with mail_sink() as (sink, settings):
        done = night.run(**settings)
        shown = night.run("report", "--month", month, "--csv", "--mail", **settings)
    ((message, raw),) = night.sql("select message, raw_line from errors")
    assert message.endswith(': "4 columns, not 15; no email at 1, Badmail at 3 and 12 more"')
    assert raw == FIRST.decode().rstrip()
    assert done.returncode == 3
    assert message in unescape((night.logs / f"report-{month}.html").read_text())
    assert {path.stat().st_mode & 0o777 for path in night.logs.iterdir()} == {0o600}
    told = [bytes(message).decode() for message in sink.received]
    told += [part.get_content() for message in sink.received for part in message.walk() if part.get_content_maintype() == "text"]
    assert len(told) >= 4
    for text in (message, done.stderr, shown.stdout, shown.stderr, *told, *(path.read_text() for path in night.logs.iterdir())):
        assert [person for person in PERSON if person in text] == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum", "'…@sum"),  # it may be a mailbox, too
        ("\t=1", r"'\t=1"),
        ("\r=1", r"'\r=1"),
        ("a=1", "a=1"),
        ("", ""),
        (-1, -1),
        (-0.12345, -0.1235),
        (None, None),
    ],
)
def test_cells_that_a_spreadsheet_does_not_calculate(value: object, cell: object) -> None:
    assert as_cell(value) == cell


def test_the_files_of_the_drill_are_nobody_elses(night: Night) -> None:
    night.deliver("report_1.txt", report(line()))
    assert night.run().returncode == 0
    (folder := night.folder / "tmp").mkdir()
    seen: set[int] = set()
    done = run_watched(night, folder, seen)
    assert done == 0
    assert seen == {0o600}


def run_watched(night: Night, folder: Path, seen: set[int]) -> int:
    """Run the drill with its temporary files in a folder, and note the modes of its files."""
    command = [sys.executable, str(ETL), "restore-drill"]
    with subprocess.Popen(command, env=night.environment(TMPDIR=str(folder)), stdout=subprocess.DEVNULL) as drill:
        while drill.poll() is None:
            for where, _, names in os.walk(folder):  # which passes over what is gone meanwhile
                for name in names:
                    with suppress(FileNotFoundError):
                        seen.add((Path(where) / name).stat().st_mode & 0o777)
    return drill.returncode


SECRETS = {"SFTP_PASSWORD": "s1", "DATABASE_URL": "", "PGPASSWORD": "s2", "SMTP_PASSWORD": "s3"}
SECRETS |= {"SLACK_WEBHOOK_URL": "http://127.0.0.1:1/s4", "HEALTHCHECK_URL": "http://127.0.0.1:1/s5"}
NEEDED = {
    "extract": {"SFTP_PASSWORD", "DATABASE_URL", "PGPASSWORD"},
    "transform": set(),
    "load": {"DATABASE_URL", "PGPASSWORD"},
    "archive": {"SFTP_PASSWORD", "DATABASE_URL", "PGPASSWORD"},
}


@pytest.mark.parametrize("in_file", [False, True], ids=["environment", "settings file"])
def test_a_stage_finds_only_the_secrets_that_it_needs(night: Night, in_file: bool) -> None:
    night.deliver("report_1.txt", report(line()))
    given = SECRETS | {"DATABASE_URL": (database := night.settings.pop("DATABASE_URL"))}
    if in_file:
        (path := night.folder / "env").write_text("".join(f"{name}='{value}'\n" for name, value in given.items()))
        given = {"ENV_FILE": str(path)}
    found: dict[str, dict[str, str]] = {}
    with subprocess.Popen(["bash", ETL / "etl.sh"], env=night.environment(**given), stderr=subprocess.DEVNULL) as run:
        while run.poll() is None:
            for child in psutil.Process(run.pid).children(recursive=True):
                with suppress(psutil.Error, ValueError):
                    interpreter, script = child.cmdline()[:2]
                    if Path(interpreter).name == "python" and Path(script).stem in NEEDED:
                        found[Path(script).stem] = child.environ()
    assert run.returncode == 0
    assert execute(database, "select status from load_file") == [("loaded",)]
    # The others are empty: what is not there at all would be read from the settings file.
    assert {stage: {name for name in SECRETS if environ[name]} for stage, environ in found.items()} == NEEDED


@pytest.mark.parametrize(
    "command",
    [["night.py"], ["extract.py"], ["load.py"], ["archive.py"], ["notify.py", "0"], [".", "status"], [".", "report"]],
    ids=" ".join,
)
def test_no_core_is_dumped(night: Night, command: list[str]) -> None:
    """A core holds the secrets, and lines of reports."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        slow = {
            "DATABASE_URL": f"host=127.0.0.1 port={port} dbname=x",
            "SFTP_PORT": str(port),
            "WORK_DIR": str(night.folder / "w"),
        }
        with subprocess.Popen([sys.executable, ETL / command[0], *command[1:]], env=night.environment(**slow)) as process:
            limits = Path(f"/proc/{process.pid}/limits")
            wait_for(lambda: re.search(r"core file size +0 +0 ", limits.read_text()))
            process.kill()

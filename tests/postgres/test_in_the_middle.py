"""Somebody in the middle says that the server has no TLS, and asks for the password: no command and no stage says a word."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit.night import Night
from kit.quirky_postgres import ENCRYPTION, in_the_middle
from kit.servers import ETL

CALLS = {  # every script and command that reads the settings of Postgres
    "etl.sh": [],
    "extract.py": [],
    "transform.py": [],
    "load.py": [],
    "lake.py": [],
    "archive.py": [],
    "notify.py": ["12"],
    "check": [],
    "explain": ["--email", "ana@example.com"],
    "forget": ["--email", "ana@example.com", "--yes"],
    "history": [],
    "lake-import": [],
    "lake-maintain": [],
    "last-run": [],
    "migrate": [],
    "own-database": [],
    "prune": ["--yes"],
    "rejects": ["--id", "1"],
    "reload": ["--id", "1", "--yes"],
    "replay": ["--rejects", "/dev/null", "--yes"],
    "report": [],
    "restore-drill": [],
    "status": [],
    "try-channels": [],
    "undo": ["--id", "1", "--yes"],
    "verify-backups": [],
}
OTHERS = {"night.py", "schedule", "unschedule", "lake-sql"}  # etl.sh calls the first; the others do not ask Postgres


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A night without servers."""
    return Night(tmp_path, {})


def test_no_call_is_left_out() -> None:
    shown = subprocess.run([sys.executable, str(ETL), "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z-]+) ", shown, re.MULTILINE)
    assert {*commands, "etl.sh", *(path.name for path in ETL.glob("[a-z]*.py"))} == CALLS.keys() | OTHERS


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_sent(night: Night, call: str) -> None:
    with in_the_middle() as (port, heard):
        # Another spelling of 127.0.0.1, as if it were another host.
        done = night.run(call, *CALLS[call], DATABASE_URL=f"postgresql://etl:hunter2@127.1:{port}/x")
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == (0 if call == "notify.py" else 2), said
        assert "add sslmode=verify-full" in said or call in ("notify.py", "check")  # a table may break the line
        assert heard == []
    assert "hunter2" not in said


@pytest.mark.parametrize("call", ["etl.sh", "check", "migrate", "notify.py"])
def test_nothing_is_sent_to_a_host_of_the_settings_file(night: Night, call: str) -> None:
    with in_the_middle() as (port, heard):
        (path := night.folder / "env").write_text(f"PGHOST=127.1\nPGPORT={port}\nPGUSER=etl\nPGPASSWORD=hunter2\n")
        done = night.run(call, *CALLS[call], ENV_FILE=str(path))
        assert done.returncode == (0 if call == "notify.py" else 2)
        assert heard == []


def test_what_would_have_been_heard(night: Night) -> None:
    """The test above is worth something: who may be careless is."""
    with in_the_middle() as (port, heard):
        address = f"postgresql://etl:hunter2@127.1:{port}/x"
        assert night.run("migrate", DATABASE_URL=address, ALLOW_INSECURE="true").returncode == 12
        assert any(b"hunter2" in said for said in heard)
        heard.clear()
        done = night.run("migrate", DATABASE_URL=f"{address}?sslmode=verify-full")
        assert done.returncode == 12, done.stderr
        assert {said[4:] for said in heard} <= set(ENCRYPTION)
    assert "hunter2" not in done.stderr


def test_no_stage_is_held_up_by_a_host_that_it_does_not_ask(night: Night) -> None:
    """The night takes DATABASE_URL away from transform, and leaves it PGHOST."""
    with in_the_middle() as (port, _):
        verified = f"postgresql://etl:hunter2@127.1:{port}/x?sslmode=verify-full"
        environment = night.environment(DATABASE_URL=verified, PGHOST="127.1")
        command = ["bash", str(ETL / "stages.sh")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "problem in the settings" not in done.stderr

"""However a command is ended, it leaves nothing: by a signal, by a closed terminal. After a kill, the next call cleans up."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, wait_for

pytestmark = pytest.mark.long

DRILL = "restore-drill"
WAITING = "select 1 from pg_stat_activity where application_name = 'visitas-etl' and wait_event_type = 'Lock'"
SCRATCH = "select datname from pg_database where datname ~ '^visitas_drill'"


@pytest.fixture
def loaded(night: Night) -> Night:
    """A night that has loaded two reports, one of which somebody has undone."""
    night.deliver("report_1.txt", report(line(), b"no line\r\n", line("bea@example.com")))
    night.deliver("report_2.txt", report(line("carl@example.com")))
    assert night.run().returncode == 0
    assert night.run("undo", "--file", "report_2.txt", "--yes").returncode == 0
    (night.folder / "tmp").mkdir()
    night.settings["TMPDIR"] = str(night.folder / "tmp")
    return night


def traces(night: Night) -> list[str]:
    """Return what a command leaves that ends in the middle: databases, folders, files without their final names."""
    found = [name for (name,) in night.sql(SCRATCH)]
    found += [path.name for path in (*(night.folder / "tmp").iterdir(), *night.work.glob("reload"), *night.logs.glob(".*.part"))]
    return found


def begin(night: Night, command: str, **streams: int) -> subprocess.Popen[bytes]:
    """Begin to run a command; with streams, on the terminal that these are."""
    arguments = ["setsid", "--ctty", sys.executable, str(ETL), *command.split()][0 if streams else 2 :]
    return subprocess.Popen(arguments, env=night.environment(), **{"stderr": subprocess.PIPE} | streams)


@contextmanager
def in_the_middle(night: Night, command: str, table: str, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command up to where it waits for a table; it can go on once the block has ended."""
    with closing(psycopg2.connect(night.settings["DATABASE_URL"])) as holder, holder.cursor() as cursor:
        cursor.execute(f"lock table {table} in access exclusive mode")
        process = begin(night, command, **streams)
        wait_for_waiting(night, 1)
        assert traces(night)
        yield process


def wait_for_waiting(night: Night, count: int) -> None:
    """Wait until so many statements of the program wait for a lock."""
    wait_for(lambda: len(night.sql(WAITING)) == count)


COMMANDS = [(DRILL, "load_erased"), ("reload --id 2 --yes", "statistics"), ("rejects --id 1", "errors")]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("command", "table"), COMMANDS)
def test_a_signal(loaded: Night, command: str, table: str, number: signal.Signals) -> None:
    with in_the_middle(loaded, command, table) as process:
        process.send_signal(number)
        process.send_signal(number if number != signal.SIGINT else signal.SIGTERM)  # a terminal that closes says so twice
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert said.decode().endswith(": interrupted; the next run continues from here.\n")
    assert traces(loaded) == []
    if command != DRILL:
        assert loaded.sql("select exit_status from load_run where script = %s", command.partition(" ")[0]) == [(128 + number,)]


def test_a_closed_terminal(loaded: Night) -> None:
    ours, theirs = pty.openpty()
    with in_the_middle(loaded, DRILL, "load_erased", stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.close(ours)
    assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert traces(loaded) == []


def test_a_terminal_that_may_be_closed(loaded: Night) -> None:
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with in_the_middle(loaded, DRILL, "load_erased") as process:
            process.send_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.communicate(timeout=PATIENCE) == (None, b"")
    assert process.returncode == 0


@pytest.mark.parametrize(("command", "table"), COMMANDS)
def test_a_kill(loaded: Night, command: str, table: str) -> None:
    """The next call removes what is left."""
    with in_the_middle(loaded, command, table) as process:
        process.kill()
        process.communicate()
    wait_for_waiting(loaded, 0)
    left = [name for (name,) in loaded.sql(SCRATCH)]
    assert traces(loaded)
    done = loaded.run(*command.split())
    assert done.returncode == 0
    assert [f"A killed drill had left the database {name}: it is dropped." in done.stdout for name in left] == [True] * len(left)
    assert traces(loaded) == []


def test_a_drill_beside_a_drill(loaded: Night) -> None:
    """What belongs to a drill that lives stays."""
    with in_the_middle(loaded, DRILL, "load_erased") as living:
        of_living = set(traces(loaded))
        second = begin(loaded, DRILL)
        wait_for_waiting(loaded, 2)
        second.kill()
        second.communicate()
        wait_for_waiting(loaded, 1)  # within seconds, Postgres notices that nobody is there any more
        of_second = set(traces(loaded)) - of_living
        third = begin(loaded, DRILL)
        wait_for_waiting(loaded, 2)
        assert of_living < set(traces(loaded))
        assert not of_second & set(traces(loaded))
    for drill in (living, third):
        assert drill.communicate(timeout=PATIENCE) == (None, b"")
        assert drill.returncode == 0
    assert traces(loaded) == []

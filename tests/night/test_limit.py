"""NIGHT_LIMIT_HOURS: whatever hangs, the night ends with 15, people hear of it, no process is left, and the next night works."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from kit.night import Night
from kit.quirks import Quirks
from kit.quirky import serving
from kit.receivers import mail_sink
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, wait_for

pytestmark = pytest.mark.long
SECONDS = 8  # the limit of these nights
LINES = 40_000  # in each report: transform needs workers

Hang = Callable[[Night, "subprocess.Popen[str]"], AbstractContextManager[None]]


def living(run_id_in: Path) -> list[int]:
    """Return the processes that belong to a night with this work directory."""
    marked = f"WORK_DIR={run_id_in}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if marked in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def stopped(*names: str) -> Hang:
    """Stop the first process below etl.sh whose command line ends with the name, or a worker below that process."""

    @contextmanager
    def hang(_: Night, run: "subprocess.Popen[str]") -> Iterator[None]:
        def stop() -> bool:
            below = psutil.Process(run.pid)
            for name in names:
                found = [
                    process for process in below.children(recursive=True) if not name or process.cmdline()[-1].endswith(name)
                ]
                if not found:
                    return False
                below = found[0]
            os.kill(below.pid, signal.SIGSTOP)
            return True

        def has_stopped() -> bool:
            with suppress(psutil.Error, IndexError):
                return stop()
            return run.poll() is not None  # a machine so slow that the limit came first

        wait_for(has_stopped)
        yield

    return hang


@contextmanager
def a_stranger_locks(night: Night, _: "subprocess.Popen[str]") -> Iterator[None]:
    """Hold a lock on a table that the night writes to."""
    with closing(psycopg2.connect(night.settings["DATABASE_URL"])) as stranger:
        stranger.cursor().execute("lock table statistics")
        yield


@contextmanager
def a_dripping_server(night: Night, _: "subprocess.Popen[str]") -> Iterator[None]:
    """Do nothing: the server drips."""
    yield


@pytest.mark.parametrize(
    ("hang", "drips"),
    [
        pytest.param(stopped("stages.sh"), False, id="the shell of the stages stopped"),
        pytest.param(stopped("extract.py"), False, id="extract stopped"),
        pytest.param(stopped("transform.py"), False, id="transform stopped"),
        pytest.param(stopped("transform.py", ""), False, id="a worker of transform stopped"),
        pytest.param(stopped("load.py"), False, id="load stopped"),
        pytest.param(stopped("archive.py"), False, id="archive stopped"),
        pytest.param(a_stranger_locks, False, id="a table locked by a stranger"),
        pytest.param(a_dripping_server, True, id="a server that drips"),
    ],
)
def test_the_night_ends(night: Night, hang: Hang, drips: bool) -> None:
    content = [line(f"p{number}@example.com") for number in range(LINES)]
    for number in range(2):
        night.deliver(f"report_{number}.txt", report(*content, line(f"q{number}@example.com")))
    slow = Quirks(block=1000, seconds_per_read=0.5) if drips else Quirks()
    with mail_sink() as (mail, settings), serving(night.folder / "server", night.source, slow) as server:
        environment = night.environment(**settings, **server.settings(), NIGHT_LIMIT_HOURS=str(SECONDS / 3600))
        with (
            subprocess.Popen(["bash", str(ETL / "etl.sh")], env=environment, stderr=subprocess.PIPE, text=True) as run,
            hang(night, run),
        ):
            said = run.communicate(timeout=PATIENCE)[1]
        assert (run.returncode, "NIGHT_LIMIT_HOURS" in said) == (15, True), said
        assert ["NIGHT_LIMIT_HOURS" in str(message) for message in mail.received] == [True]
    assert living(night.work) == []
    assert night.sql("select status, exit_status from load_run") == [("failed", 15)]
    with serving(night.folder / "next", night.source, Quirks()) as server:
        again = night.run(**server.settings())
    assert (again.returncode, again.stderr) == (0, "")
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(LINES + 2, 2 * LINES + 2)]
    assert night.sql("select count(*) from statistics") == [(2 * LINES + 2,)]

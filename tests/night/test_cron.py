"""A real cron daemon starts the night, once, in its bare environment."""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.night import Night
from kit.servers import PATIENCE, ROOT, crontab_of_tests, need

pytestmark = pytest.mark.xdist_group("crontab")  # there is only one crontab


@pytest.fixture
def crontab() -> Iterator[None]:
    """This user's crontab, which a cron daemon reads. Afterwards it is as it was."""
    need("crontab")
    daemon = None
    if subprocess.run(["pgrep", "-x", "cron"], capture_output=True, check=False).returncode:
        if os.geteuid():
            pytest.skip("no cron daemon is running, and only root can start one")
        daemon = subprocess.Popen([need("cron"), "-f"])
    with crontab_of_tests(""):
        yield
    if daemon:
        daemon.terminate()
        daemon.wait(PATIENCE)


def test_all_tests_of_the_crontab_are_in_one_process(request: pytest.FixtureRequest) -> None:
    """If the versions of pytest and pytest-xdist do not fit each other, xdist_group does nothing, without a warning."""
    assert request.node.nodeid.endswith("@crontab") or "PYTEST_XDIST_WORKER" not in os.environ  # without xdist: one process


def make(target: str) -> str:
    return subprocess.run(["make", "-s", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def installed() -> str:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout


def test_schedule_is_idempotent_and_shows_the_line(crontab: None) -> None:
    subprocess.run(["crontab", "-"], input=b"17 3 * * * true\n", check=True)
    expected = f"2 0 * * * cd {shlex.quote(str(ROOT))} && bash etl/etl.sh &\n"
    for _ in range(2):
        assert expected in make("schedule")
    assert installed() == f"17 3 * * * true\n{expected}"
    make("unschedule")
    assert installed() == "17 3 * * * true\n"


def test_cron_starts_the_night_once(crontab: None, night: Night, real: Path) -> None:
    for path in real.glob("report_*.txt"):
        night.deliver(path.name, path)
    make("schedule")
    (command,) = [entry.removeprefix("2 0 * * * ") for entry in installed().splitlines() if "etl.sh" in entry]
    settings = "".join(f"{name}={value}\n" for name, value in night.settings.items())
    (night.folder / "env").write_text(settings)
    # The installed line, but every minute: so it runs at the next minute.
    tab = f"ENV_FILE={night.folder}/env\n* * * * * {command}\n"
    time.sleep(1.1)  # cron sees two changes in one second as one, and may have read the first already
    subprocess.run(["crontab", "-"], input=tab.encode(), check=True)
    deadline = time.monotonic() + 60 + PATIENCE
    while not night.sql("select 1 from load_run where status = 'done'"):
        assert time.monotonic() < deadline, (night.logs / "etl.log").read_text() if night.logs.exists() else "no run"
        time.sleep(0.5)
    subprocess.run(["crontab", "-r"], check=True)
    assert night.statuses() == [(f"report_{number}.txt", "loaded") for number in (7, 8, 9)]
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(1997, 2001)]
    assert night.sql("select script, status, exit_status from load_run") == [("etl", "done", 0)]
    assert list(night.source.iterdir()) == []

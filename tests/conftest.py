"""Fixtures: the real servers, and the walls between one test, the other tests and the machine."""

import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from base.settings import KNOWN, is_misspelt
from kit.night import Night
from kit.servers import ROOT, OpenSSH, Postgres, crontab_of_tests

# No deadline for an example: the machine may be busy.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


def needs_root(item: pytest.Item) -> bool:
    """Return whether only root can run a test, and we are not root."""
    return os.geteuid() != 0 and item.get_closest_marker("root") is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if needs_root(item):
        pytest.skip(f"only root can {item.get_closest_marker('root').args[0]}")  # type: ignore[union-attr]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With CI set, a skipped test fails, but for what only root can set up: only a laptop may lack a real part."""
    report = yield
    if report.skipped and os.environ.get("CI") and not needs_root(item):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def bare_environment() -> None:
    """Remove the machine's own settings from the environment of the tests."""
    for name in [*os.environ]:
        if name.startswith(("PG", "ETL_")) or is_misspelt(name) or name in KNOWN:
            del os.environ[name]
    os.environ["ENV_FILE"] = "/dev/null"
    os.umask(0o022)  # a settings file that a group may write to is refused
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background; what the tests start must hear of Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A folder with a short path: the path of a socket in the folder must stay under the system's limit."""
    with tempfile.TemporaryDirectory(prefix="v") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(short_tmp: Path) -> Iterator[Postgres]:
    """A running Postgres."""
    server = Postgres(short_tmp / "pg")
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database for one test, with an empty schema."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    yield postgres.create(name)
    postgres.drop(name)


def serve_openssh(folder: Path) -> Iterator[OpenSSH]:
    """Run an OpenSSH server in a new folder."""
    folder.mkdir()
    server = OpenSSH(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def openssh(short_tmp: Path) -> Iterator[OpenSSH]:
    """A running OpenSSH server, shared by many tests."""
    yield from serve_openssh(short_tmp / "ssh")


@pytest.fixture
def own_openssh(short_tmp: Path) -> Iterator[OpenSSH]:
    """An OpenSSH server for one test, which may stop the server and look at its processes."""
    yield from serve_openssh(short_tmp / "ownssh")


@pytest.fixture
def night(tmp_path: Path, database: str, openssh: OpenSSH) -> Night:
    """A night from the real OpenSSH server to a database for one test."""
    return Night(tmp_path, openssh.settings() | {"DATABASE_URL": database})


@pytest.fixture
def crontab() -> Iterator[None]:
    """A crontab with our line; afterwards the user's own crontab is back."""
    with crontab_of_tests(f"2 0 * * * cd {shlex.quote(str(ROOT))} && bash etl/etl.sh &\n"):
        yield


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real reports."""
    if not (folder := os.environ.get("VISITAS_REAL_REPORTS")):
        pytest.skip("VISITAS_REAL_REPORTS names no folder")
    return Path(folder)

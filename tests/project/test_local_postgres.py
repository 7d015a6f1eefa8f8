"""The embedded Postgres of local runs works in every folder, and is this user's alone."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from kit.servers import ROOT, Postgres, execute, postgres_program, wait_for

LONG = "long" * 30  # too long a path for a socket


def local_postgres(action: str, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "sql" / "local-postgres.py"), "--data", str(data), action]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that the server's user may enter, if that is another than this one."""
    with tempfile.TemporaryDirectory(prefix="v") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("name", ["a b", "it's (new) & better", LONG])
def test_in_any_folder(top: Path, name: str) -> None:
    data = top / name / "pg"
    url = local_postgres("start", data).stdout.strip()
    try:
        assert execute(url, "select 1") == [(1,)]
        assert execute(url, "show listen_addresses") == [("",)]
        socket = Path(url.partition("host=")[2])
        assert socket.name.startswith("visitas-postgres-")
        assert socket.stat().st_mode & 0o777 == 0o700
    finally:
        assert local_postgres("stop", data).returncode == 0


def as_link(path: Path) -> None:
    (target := path.with_name("elsewhere")).mkdir()
    path.symlink_to(target)


def as_open_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o711)


def as_anothers(path: Path) -> None:
    path.mkdir(0o700)
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (as_link, "is a link, or no folder"),
        (Path.touch, "is a link, or no folder"),
        (as_open_folder, "is open to other users"),
        pytest.param(as_anothers, "belongs to another user (id 12345)", marks=pytest.mark.root("give a folder away")),
    ],
)
@pytest.mark.parametrize("kind", ["runtime", "socket"])
def test_a_folder_that_another_user_may_have_made(top: Path, kind: str, plant: Callable[[Path], None], why: str) -> None:
    """Whoever has the folder of the socket can be the server."""
    data, place = top / LONG / "pg", {"TMPDIR": str(top)}
    if kind == "socket":
        socket = Path(local_postgres("start", data, **place).stdout.strip().partition("host=")[2])
        assert local_postgres("stop", data, **place).returncode == 0
        socket.rmdir()
    else:
        socket = top / f"visitas-postgres-{os.geteuid()}"
    plant(socket)
    for action in ("start", "stop"):
        done = local_postgres(action, data, **place)
        assert (done.returncode, done.stdout) == (1, "")
        said = f"The folder {socket} {why}: it is not used. Hint: look who made it, and remove it; or set TMPDIR"
        assert done.stderr.startswith(said)
    assert not (data / "postmaster.pid").exists()


@pytest.mark.root("be another user")
def test_another_user_is_nobody_there(postgres: Postgres) -> None:
    """Even where the folder lets that user in."""
    before = postgres.folder.stat().st_mode
    postgres.folder.chmod(0o755)
    command = [postgres_program("psql"), "-X", "-d", postgres.url, "-c", "select 1"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    done = subprocess.run(command, user="nobody", check=False, capture_output=True, text=True)
    postgres.folder.chmod(before)
    assert done.returncode == 2
    assert 'Peer authentication failed for user "postgres"' in done.stderr


def test_this_user_is_every_role(database: str) -> None:
    execute(database, 'create role "Zoe R" login')
    with psycopg2.connect(database.replace("//postgres@", "//Zoe%20R@")) as link, link.cursor() as cursor:
        cursor.execute("select current_user, system_user like 'peer:%'")
        assert cursor.fetchone() == ("Zoe R", True)
    link.close()
    execute(database, 'drop role "Zoe R"')


@pytest.mark.parametrize("is_running", [True, False])
def test_a_server_of_an_earlier_version_is_closed(top: Path, is_running: bool) -> None:
    """It let everybody in."""
    data = top / "pg"
    url = local_postgres("start", data).stdout.strip()
    try:
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
        (data / "pg_ident.conf").write_text("")
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
        rules = "select distinct auth_method from pg_hba_file_rules"
        assert execute(url, rules) == [("trust",)]
        wait_for(lambda: execute(url, "select system_user is null") == [(True,)])
        if not is_running:
            local_postgres("stop", data)
        assert local_postgres("start", data).stdout.strip() == url
        wait_for(lambda: execute(url, "select system_user is not null") == [(True,)])
        assert execute(url, rules) == [("peer",)]
    finally:
        local_postgres("stop", data)

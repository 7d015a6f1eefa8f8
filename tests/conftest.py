"""Real parts for the tests: a Postgres, an OpenSSH server, and the night that runs between them."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg2
import pytest

ROOT = Path(__file__).resolve().parent.parent
ETL = ROOT / "etl"
TEMPLATE = "visitas_template"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A laptop may lack a real part and skip; CI may not."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


def need(command: str) -> str:
    """Return the path of a command, or skip the test without it."""
    found = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{command} is not installed")
    return found


@pytest.fixture(scope="session", autouse=True)
def bare_environment() -> None:
    """No setting of the machine that runs the tests gets into them."""
    for name in [*os.environ]:
        if name.startswith(("SFTP_", "SMTP_", "MAIL_", "PG", "ETL_")) or name in ("DATABASE_URL", "AS_OF", "TIMEZONE"):
            del os.environ[name]
    os.environ["ENV_FILE"] = "/dev/null"


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="v") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(short_tmp: Path) -> Iterator[str]:
    """The address of a running server's database ``postgres``; it has a template with the schema."""
    tool = [sys.executable, str(ROOT / "sql" / "local-postgres.py")]
    data = ["--data", str(short_tmp / "pg")]
    url = subprocess.run([*tool, "start", *data], check=True, capture_output=True, text=True).stdout.strip()
    execute(url, f"create database {TEMPLATE}")
    subprocess.run(
        [sys.executable, str(ETL / "migrate.py")],
        env=os.environ | {"DATABASE_URL": url.replace("/postgres?", f"/{TEMPLATE}?")},
        check=True,
        capture_output=True,
    )
    yield url
    subprocess.run([*tool, "stop", *data], check=True)


@pytest.fixture
def database(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database of its own for the test, with an empty schema."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    execute(postgres, f"create database {name} template {TEMPLATE}")
    yield postgres.replace("/postgres?", f"/{name}?")
    execute(postgres, f"drop database {name} with (force)")


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


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class OpenSSH:
    """A real OpenSSH server on the loopback, which can be stopped and started again."""

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
        command = [self.sshd, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "sshd.log")]
        self.process = subprocess.Popen(command)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail(f"sshd does not start: {(self.folder / 'sshd.log').read_text()}")

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(10)

    def settings(self) -> dict[str, str]:
        """The settings of a client that it lets in."""
        return {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(self.port),
            "SFTP_USER": subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip(),
            "SFTP_KEY_FILE": str(self.folder / "user_key"),
            "SFTP_KNOWN_HOSTS": str(self.folder / "known_hosts"),
        }


@pytest.fixture(scope="session")
def openssh(short_tmp: Path) -> Iterator[OpenSSH]:
    """A running OpenSSH server."""
    (folder := short_tmp / "ssh").mkdir()
    server = OpenSSH(folder)
    server.start()
    yield server
    server.stop()


class Night:
    """Everything that one night needs, and the run of it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.source, self.work, self.backups, self.logs = (folder / name for name in ("source", "work", "bckp", "logs"))
        self.source.mkdir()
        self.settings = {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_USER": "nobody",
            "SFTP_PORT": "1",
            "SFTP_REMOTE_DIR": str(self.source),
            "WORK_DIR": str(self.work),
            "BACKUP_DIR": str(self.backups),
            "LOG_DIR": str(self.logs),
            "MIN_AGE_SECONDS": "0",
            "RETRY_SECONDS": "0",
            "AS_OF": "2013-02-15",
        } | settings

    def environment(self, **changed: str) -> dict[str, str]:
        """Cron's bare environment, with the settings."""
        bare = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "ENV_FILE": "/dev/null", "PYTHONWARNINGS": "error"}
        return bare | self.settings | changed

    def run(self, script: str = "etl.sh", *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the product and return how it ended, with what it printed."""
        command = ["bash"] if script.endswith(".sh") else [sys.executable]
        return subprocess.run(
            [*command, str(ETL / script), *arguments],
            env=self.environment(**changed),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def deliver(self, name: str, content: bytes | Path) -> Path:
        """Put a report on the server."""
        path = self.source / name
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return path

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return execute(self.settings["DATABASE_URL"], statement, *values)

    def statuses(self) -> list[tuple[str, str]]:
        """Name and status of every delivery, in order of loading."""
        return [(name, status) for name, status in self.sql("select name, status from load_file order by id")]

    def left_in_work(self) -> list[str]:
        """The names of what lies in the work directory, the lock file aside."""
        return sorted(
            str(path.relative_to(self.work)) for path in self.work.rglob("*") if path.is_file() and path.name != ".lock"
        )


@pytest.fixture
def night(tmp_path: Path, database: str, openssh: OpenSSH) -> Night:
    """A night between the real OpenSSH server and a database of its own."""
    return Night(tmp_path, openssh.settings() | {"DATABASE_URL": database})


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real reports."""
    if not (folder := os.environ.get("VISITAS_REAL_REPORTS")):
        pytest.skip("VISITAS_REAL_REPORTS names no folder")
    return Path(folder)


HEADER = (
    b"email,jk,Badmail,Baja,Fecha envio,Fecha open,Opens,Opens virales,Fecha click,Clicks,Clicks virales,"
    b"Links,IPs,Navegadores,Plataformas\r\n"
)


def line(email: str = "ana@example.com", envio: str = "08/02/2013 18:30", opened: str = "-", clicked: str = "-") -> bytes:
    """A good line."""
    return f"{email},,,,{envio},{opened},0,0,{clicked},0,0,-,-,-,-\r\n".encode()


def report(*lines: bytes) -> bytes:
    """A report of these lines."""
    return HEADER + b"".join(lines)


@contextmanager
def holding(url: str, statement: str) -> Iterator[None]:
    """Keep a transaction open in which the statement was run."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            yield
    finally:
        connection.close()


def dsn_with(url: str, **changed: str) -> str:
    """The address with some parameters added."""
    return f"{url}&{urlencode(changed)}"

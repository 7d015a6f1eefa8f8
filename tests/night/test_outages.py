"""A short outage is waited out by the same run. A long outage ends with a clear sentence, and the next night goes on."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from base import time_limit, trouble, waiting
from base.settings import Settings
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, OpenSSH, Postgres, wait_for
from postgres import database
from sftp import client, server, ssh
from sftp.server import Changed, Listed, Remote

LINES = 120
BIG = 200 << 20  # bytes: a transfer long enough to be hit in the middle


@pytest.fixture
def own_postgres(short_tmp: Path) -> Iterator[Postgres]:
    """A Postgres that this test may kill."""
    server = Postgres(short_tmp / "own")
    yield server
    server.stop()
    subprocess.run(["rm", "-r", short_tmp / "own"], check=True)


@contextmanager
def running(night: Night, **changed: str) -> Iterator[subprocess.Popen[str]]:
    """Run a night during the block. At the end of the block the night must end well, without a word."""
    command = ["bash", str(ETL / "etl.sh")]
    with subprocess.Popen(command, env=night.environment(**changed), stderr=subprocess.PIPE, text=True) as run:
        yield run
        said = run.communicate(timeout=PATIENCE)[1]
        assert (run.returncode, said) == (0, "")


def slow_copy(night: Night) -> None:
    """Slow down every row, so that Postgres can be hit in the middle of a COPY."""
    night.sql("create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.02); return new; end'")
    night.sql("create trigger slow before insert on statistics for each row execute function slow()")


def in_copy(night: Night) -> bool:
    return bool(night.sql("select 1 from pg_stat_progress_copy where tuples_processed > 10"))


def loaded_once(night: Night) -> None:
    assert night.sql("select name, status, rows_loaded from load_file") == [("report_1.txt", "loaded", LINES)]
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(LINES, LINES)]
    assert night.sql("select distinct status, exit_status from load_run") == [("done", 0)]
    assert list(night.source.iterdir()) == []
    assert night.left_in_work() == []


def deliver(night: Night) -> None:
    night.deliver("report_1.txt", report(*(line(f"p{number}@example.com") for number in range(LINES))))


def test_postgres_killed_in_mid_copy(own_postgres: Postgres, openssh: OpenSSH, tmp_path: Path) -> None:
    night = Night(tmp_path, openssh.settings() | {"DATABASE_URL": own_postgres.create("killed"), "RETRY_SECONDS": "300"})
    deliver(night)
    slow_copy(night)
    with running(night):
        wait_for(lambda: in_copy(night))
        own_postgres.kill()
        time.sleep(1)
        own_postgres.start()
    loaded_once(night)
    assert "waiting" in (night.logs / "load.log").read_text()


def test_backend_terminated_in_mid_transaction(night: Night) -> None:
    deliver(night)
    slow_copy(night)
    with running(night, RETRY_SECONDS="300"):
        wait_for(lambda: in_copy(night))
        night.sql("select pg_terminate_backend(pid) from pg_stat_progress_copy")
    loaded_once(night)


def test_a_lock_that_is_held_too_long(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open transaction of an analyst costs a wait, not the night."""
    deliver(night)
    assert night.run("extract.py").returncode == 0
    assert night.run("transform.py").returncode == 0
    holder = threading.Thread(target=night.sql, args=("begin; lock table visitor; select pg_sleep(3); commit",))
    holder.start()
    wait_for(lambda: night.sql("select 1 from pg_locks where relation = 'visitor'::regclass and mode = 'AccessExclusiveLock'"))
    assert night.run().returncode == 0
    holder.join(PATIENCE)
    assert not holder.is_alive()
    loaded_once(night)


def children(parent: int) -> list[int]:
    """Return all processes below a process."""
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout
    direct = [int(pid) for pid in found.split()]
    return direct + [pid for child in direct for pid in children(child)]


def kill(processes: list[int]) -> None:
    """Kill the processes that still live: the end of a process may end another."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.fixture
def transfer(own_openssh: OpenSSH, database: str, tmp_path: Path) -> Night:
    """A night with a file that takes long to pull. The file is refused, so that nothing else takes long."""
    night = Night(tmp_path, own_openssh.settings() | {"DATABASE_URL": database, "RETRY_SECONDS": "300"})
    with night.deliver("report_1.txt", b"").open("wb") as file:
        file.truncate(BIG)
    return night


def in_transfer(night: Night) -> bool:
    part = night.work / ".report_1.txt.part"
    return part.exists() and part.stat().st_size > 0


@contextmanager
def pulling(night: Night) -> Iterator[None]:
    """Run extract; the block begins in the middle of the file. After the block extract must end well, without a word."""
    command = ["bash", "-c", f"exec '{os.sys.executable}' '{ETL / 'extract.py'}'"]
    with subprocess.Popen(command, env=night.environment(), stderr=subprocess.PIPE, text=True) as run:
        wait_for(lambda: in_transfer(night))
        yield
        said = run.communicate(timeout=PATIENCE)[1]
        assert (run.returncode, said) == (0, "")
    assert (night.work / "report_1.txt").stat().st_size == BIG
    assert night.left_in_work() == ["report_1.txt"]


def test_sshd_child_killed_in_mid_transfer(transfer: Night, own_openssh: OpenSSH) -> None:
    assert own_openssh.process
    with pulling(transfer):
        kill(children(own_openssh.process.pid))


def test_server_gone_in_mid_transfer_and_back(transfer: Night, own_openssh: OpenSSH) -> None:
    assert own_openssh.process
    with pulling(transfer):
        below = children(own_openssh.process.pid)
        own_openssh.stop()
        kill(below)
        time.sleep(2)
        own_openssh.start()


def settings(night: Night) -> Settings:
    return Settings(**{name.lower(): value for name, value in night.settings.items()})


def test_a_server_that_accepts_and_says_nothing(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        night.settings["SFTP_PORT"] = str(silent.getsockname()[1])
        started = time.monotonic()
        with pytest.raises(waiting.Outage, match="does not answer"):
            Remote(settings(night)).list()
        assert time.monotonic() - started < 60


def test_a_server_that_stops_in_mid_file(transfer: Night, own_openssh: OpenSSH, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_openssh.process
    server = Remote(settings(transfer))
    ((source,), _) = server.list()
    blocks = server.read([source])
    next(blocks)
    monkeypatch.setattr(client, "TIMEOUT", 1)
    stopped = children(own_openssh.process.pid)
    for child in stopped:
        os.kill(child, signal.SIGSTOP)
    with pytest.raises(waiting.Outage):
        for _ in blocks:
            pass
    kill(stopped)


def test_a_transfer_that_trickles_is_cut(transfer: Night, own_openssh: OpenSSH, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(settings(transfer))
    ((source,), _) = remote.list()
    monkeypatch.setattr(server, "TIMEOUT", 0.5)
    monkeypatch.setattr(server, "SLOWEST", BIG * 10)
    with pytest.raises(waiting.Outage):
        for _ in remote.read([source]):
            time.sleep(0.2)


def test_a_listed_size_larger_than_the_file(night: Night) -> None:
    night.deliver("report_1.txt", b"short")
    server = Remote(settings(night))
    ((source,), _) = server.list()
    *_, (_, outcome) = server.read([Listed(source.name, 1 << 20, source.mtime)])
    assert isinstance(outcome, Changed)
    server.close()


def test_a_silent_postgres(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/visitas?connect_timeout=2"
        done = night.run("load.py", DATABASE_URL=url)
    assert done.returncode == 12
    assert "timeout expired" in done.stderr


def test_a_postgres_that_lets_us_in_and_says_nothing(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooler does this when it has no connection left."""
    monkeypatch.setattr(database, "SETUP_LIMIT", 0.5)
    told = {"client_encoding": "UTF8", "DateStyle": "ISO", "standard_conforming_strings": "on"}
    welcome = message(b"R", bytes(4)) + b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in told.items())
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def let_in() -> None:
            with listener.accept()[0] as peer:
                peer.recv(1024)
                peer.sendall(welcome + message(b"Z", b"I"))
                while peer.recv(1024):
                    pass

        pooler = threading.Thread(target=let_in)
        pooler.start()
        night.settings["DATABASE_URL"] = (
            f"postgresql://127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable&gssencmode=disable"
        )
        with pytest.raises(waiting.Outage, match="does not answer"), database.Database(settings(night)).transaction():
            pass
        pooler.join(PATIENCE)
        assert not pooler.is_alive()  # it has seen our connection close


def message(kind: bytes, content: bytes) -> bytes:
    """Return a message of Postgres's protocol."""
    return kind + (len(content) + 4).to_bytes(4) + content


def test_a_postgres_that_hangs_is_cut_off(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    link = database.Database(settings(night))
    with link.transaction() as cursor:
        cursor.execute("select pg_backend_pid()")
        (backend,) = cursor.fetchone()
    monkeypatch.setattr(database, "TRANSACTION_LIMIT", 1)
    thawed = threading.Timer(60, os.kill, (backend, signal.SIGCONT))
    os.kill(backend, signal.SIGSTOP)
    thawed.start()
    with pytest.raises(waiting.Outage), link.transaction() as cursor:
        cursor.execute("select 1")
    assert thawed.is_alive()  # our own limit ended the wait
    thawed.cancel()
    os.kill(backend, signal.SIGCONT)


def test_only_what_takes_too_long_is_cut_and_once() -> None:
    cut: list[str] = []
    with time_limit.watchdog(0.1, lambda: cut.append("late")), time_limit.watchdog(60, lambda: cut.append("in time")):
        with time_limit.watchdog(0.1, lambda: cut.append("ended")):
            pass
        wait_for(lambda: cut)
        time.sleep(2 * time_limit.TICK)
    assert cut == ["late"]


def test_back_off_ends_and_lasting_trouble_is_not_retried() -> None:
    tries = []

    def fail(error: Exception) -> None:
        tries.append(time.monotonic())
        raise error

    with pytest.raises(waiting.Outage):
        waiting.retrying(3)(fail, waiting.Outage(12, "gone.", "wait."))
    assert len(tries) > 1
    assert tries[-1] - tries[0] < 30  # no pause begins that would end after the limit
    tries.clear()
    with pytest.raises(trouble.StageError):
        waiting.retrying(3)(fail, trouble.StageError(12, "no.", "never."))
    assert len(tries) == 1


def test_an_outage_longer_than_that(night: Night, openssh: OpenSSH) -> None:
    """The status is right, there is one sentence, and the next night finishes the work: files in the work directory first."""
    deliver(night)
    url = night.settings["DATABASE_URL"]
    started = time.monotonic()
    done = night.run(DATABASE_URL="postgresql://127.0.0.1:1/visitas", RETRY_SECONDS="2")
    assert time.monotonic() - started < PATIENCE
    assert done.returncode == 12
    assert "load: Postgres does not answer" in done.stderr
    assert night.left_in_work() == [
        "report_1.txt",
        "staged/report_1.txt.statistics.csv",
        "staged/report_1.txt.verdict.json",
    ]
    done = night.run(DATABASE_URL=url, SFTP_PORT="1")  # now the SFTP server is gone
    assert done.returncode == 10
    assert night.sql("select name, status from load_file") == [("report_1.txt", "loaded")]
    assert night.run().returncode == 0
    assert night.sql("select count(*) from load_file") == [(1,)]
    assert list(night.source.iterdir()) == []

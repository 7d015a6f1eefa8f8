"""A short outage is waited out by the same run. A long outage ends with a clear sentence, and the next night goes on."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from base import time_limit, trouble, waiting
from base.settings import Settings
from kit.night import Night
from kit.quirks import Quirks, everywhere, long
from kit.quirky import serving
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, OpenSSH, Postgres, wait_for
from postgres import database
from sftp import client, server, ssh
from sftp.client import Broken, Client
from sftp.server import Server

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
    os.truncate(night.deliver("report_1.txt", b""), BIG)
    return night


def in_transfer(night: Night) -> bool:
    part = night.work / ".report_1.txt.part"
    return part.exists() and part.stat().st_size > 0


@contextmanager
def extracting(night: Night, status: int = 0) -> Iterator[list[str]]:
    """Run extract; the block begins in the middle of a file. It gets a list for what extract will have said."""
    command = ["bash", "-c", f"exec '{sys.executable}' '{ETL / 'extract.py'}'"]
    with subprocess.Popen(command, env=night.environment(), stderr=subprocess.PIPE, text=True) as run:
        wait_for(lambda: in_transfer(night))
        said: list[str] = []
        yield said
        said.append(run.communicate(timeout=90)[1])
        assert run.returncode == status, said


@contextmanager
def pulling(night: Night) -> Iterator[None]:
    """Run extract; the block begins in the middle of the file. After the block extract must end well, without a word."""
    with extracting(night) as said:
        yield
    assert said == [""]
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


def test_a_server_that_does_not_come_back(transfer: Night, own_openssh: OpenSSH) -> None:
    """Every file is named once. The next night goes on."""
    assert own_openssh.process
    for name in ("report_2.txt", "report_3.txt"):
        os.truncate(transfer.deliver(name, b""), BIG)
    transfer.settings["RETRY_SECONDS"] = "2"
    with extracting(transfer, trouble.Status.SFTP) as said:
        below = children(own_openssh.process.pid)
        own_openssh.stop()
        kill(below)
    (words,) = said
    pulled = transfer.left_in_work()
    for name in ("report_1.txt", "report_2.txt", "report_3.txt"):
        assert words.count(name) == (name not in pulled)
    assert words.count("cannot be reached") == 1
    own_openssh.start()
    assert transfer.run("extract.py").returncode == 0
    assert transfer.left_in_work() == ["report_1.txt", "report_2.txt", "report_3.txt"]


def test_what_changes_while_it_is_read_is_left(transfer: Night) -> None:
    """The night goes on, and the next one pulls it."""
    with extracting(transfer) as said:
        os.utime(transfer.source / "report_1.txt", (1e9, 1e9))
    assert "left report_1.txt for the next run: the server said" in said[0]
    assert transfer.left_in_work() == []
    done = transfer.run("extract.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert transfer.left_in_work() == ["report_1.txt"]


def settings(night: Night) -> Settings:
    return Settings(**{name.lower(): value for name, value in night.settings.items()})


def test_a_server_that_accepts_and_says_nothing(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        night.settings["SFTP_PORT"] = str(silent.getsockname()[1])
        started = time.monotonic()
        with pytest.raises(waiting.Outage, match="cannot be reached"):
            Server(settings(night)).list()
        assert time.monotonic() - started < 60


def test_a_server_that_stops_in_mid_file(transfer: Night, own_openssh: OpenSSH, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is given up, and a new one brings the file."""
    monkeypatch.setattr(server, "TIMEOUT", 5)
    assert own_openssh.process
    listener, stopped, silences = own_openssh.process.pid, [], []

    def read(client: Client, path: bytes) -> int:
        size = 0
        try:
            for block in client.read(path, BIG):
                size += len(block)
                if not stopped:
                    stopped.extend(children(listener))
                    for child in stopped:
                        os.kill(child, signal.SIGSTOP)
        except Broken as error:
            silences.append(str(error))
            raise
        return size

    connection, path = Server(settings(transfer)), os.fsencode(transfer.source / "report_1.txt")
    assert list(connection.each(read, [path])) == [(path, BIG)]
    assert silences == ["it has been silent for too long"]
    connection.close()
    kill(stopped)


@pytest.mark.parametrize("finishes", [True, False])
def test_a_connection_that_trickles(night: Night, monkeypatch: pytest.MonkeyPatch, finishes: bool) -> None:
    """It is given up after a minute in which it finishes no file, however many bytes come; here the minute has two seconds."""
    monkeypatch.setattr(client, "MINUTE", 2)
    for number in range(40):
        night.deliver(f"report_{number}.txt", b"slow bytes")

    def read(client: Client, path: bytes) -> bytes:
        content = b"".join(client.read(path, 10))
        if finishes:
            client.finished()
        return content

    with serving(night.folder / "server", night.source, Quirks(seconds_per_read=0.1)) as slow:
        night.settings |= slow.settings()
        connection = Server(settings(night))
        paths = [bytes(path) for path in night.source.iterdir()]
        results = [result for _, result in server.together(connection.connect(), read, paths)]
        connection.close()
    broken = {str(result) for result in results if result != b"slow bytes"}
    assert broken == (set() if finishes else {"it brings less than 10 kB/s"})


def test_a_size_larger_than_the_file(night: Night) -> None:
    """A file ends where the server says that it ends. The size was a claim; whether the file is whole is for people to say."""
    path = night.deliver("report_1.txt", report(line()))
    size = path.stat().st_size
    with serving(night.folder / "server", night.source, Quirks({"*": everywhere(long)})) as claiming:
        done = night.run(**claiming.settings())
    assert done.returncode == 0
    assert f"report_1.txt ended after {size} bytes; the server said {size + 10}." in done.stderr
    assert night.statuses() == [("report_1.txt", "loaded")]


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
    monkeypatch.setattr(link, "_limit", 1)
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

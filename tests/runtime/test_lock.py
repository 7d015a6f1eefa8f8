"""The run lock in Postgres: a run whose connection is lost takes the lock anew, or ends once another run has it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Thread

import psycopg2
import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, execute, wait_for

KEY = "(('x' || left(md5('visitas-etl run'), 16))::bit(64)::bigint)"
HERE = "locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
HOLDER = f"select pid from pg_locks where {HERE} and granted and (classid::bigint << 32 | objid::bigint) = {KEY}"


@contextmanager
def held_up(night: Night) -> Iterator[Callable[[], None]]:
    """Have every load of a report wait until the given function is called; it takes a while then."""
    night.sql(
        "create function gate() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock(7), pg_sleep(0.2); return null; end'"
    )
    night.sql("create trigger gate after insert on load_file for each row execute function gate()")
    with closing(psycopg2.connect(night.settings["DATABASE_URL"])) as gate:
        gate.autocommit = True
        gate.cursor().execute("select pg_advisory_lock(7)")
        yield lambda: gate.cursor().execute("select pg_advisory_unlock(7)")


@contextmanager
def at_work(night: Night, script: str = "etl.sh") -> Iterator[subprocess.Popen[str]]:
    """Run a script during the block, from when it loads on."""
    command = ["bash" if script == "etl.sh" else sys.executable, str(ETL / script)]
    with subprocess.Popen(command, env=night.environment(), stderr=subprocess.PIPE, text=True) as run:
        wait_for(
            lambda: night.sql("select 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'")
        )
        assert run.poll() is None
        try:
            yield run
        except BaseException:
            run.kill()  # or a failed test would wait for its end
            raise


@pytest.fixture
def other(night: Night) -> Night:
    """The same night on another host: with folders of its own."""
    (folder := night.folder / "other").mkdir()
    other = Night(folder, night.settings | {})
    other.settings |= {"SFTP_REMOTE_DIR": str(night.source)}
    return other


def test_the_lock_is_taken_anew(night: Night, other: Night) -> None:
    for number in range(4):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com")))
    with held_up(night) as go_on, at_work(night) as run:
        for _ in range(2):
            ((before,),) = night.sql(HOLDER)
            night.sql("select pg_terminate_backend(%s)", before)
            wait_for(lambda before=before: night.sql(HOLDER) not in ([], [(before,)]))
        done = other.run()
        assert (done.returncode, "another run is at work" in done.stderr) == (11, True)
        assert night.sql("select status from load_run") == [("running",)]
        go_on()
        assert run.wait(PATIENCE) == 0
        assert run.stderr
        assert run.stderr.read() == ""
    assert night.sql("select status, exit_status from load_run") == [("done", 0)]


@contextmanager
def stolen(night: Night) -> Iterator[None]:
    """Have another run take the lock from the run that holds it."""
    with closing(psycopg2.connect(night.settings["DATABASE_URL"], application_name="visitas-etl")) as thief:
        take = Thread(target=thief.cursor().execute, args=(f"select pg_advisory_lock({KEY})",))
        take.start()  # it waits in line: it has the lock the moment that the holder is gone
        waits = f"select 1 from pg_locks where {HERE} and not granted and pid = {thief.get_backend_pid()}"
        wait_for(lambda: night.sql(waits))
        night.sql("select pg_terminate_backend(%s)", *night.sql(HOLDER)[0])
        take.join(PATIENCE)
        yield


@pytest.mark.parametrize("script", ["etl.sh", "load.py"])
def test_a_run_ends_once_another_has_the_lock(night: Night, script: str) -> None:
    for number in range(30):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com")))
    for stage in ("extract.py", "transform.py"):
        assert night.run(stage).returncode == 0
    log = night.logs / ("etl.log" if script == "etl.sh" else "load.log")
    with held_up(night) as go_on, at_work(night, script) as run, stolen(night):
        wait_for(lambda: "was lost to run on host" in log.read_text())
        go_on()
        assert run.wait(PATIENCE) == 11
        assert run.stderr
        assert "another run is at work" in run.stderr.read()
    assert len(night.statuses()) < 30  # those at work were finished, no others were begun
    assert night.sql("select status, exit_status from load_run order by started_at desc, id desc limit 1") == [("failed", 11)]
    night.sql("drop trigger gate on load_file")
    assert night.run().returncode == 0
    assert len(night.statuses()) == 30


def test_a_living_run_is_not_called_crashed(night: Night, other: Night) -> None:
    """Its own connection is lost, and it cannot have a new one; its stage is at work."""
    night.deliver("report_1.txt", report(line()))
    url = night.settings["DATABASE_URL"]
    name = "lone_" + url.partition("?")[0].rpartition("/")[2]
    execute(url, f"create role {name} login superuser")
    night.settings["DATABASE_URL"] = url.replace("//postgres@", f"//{name}@")
    with held_up(night) as go_on, at_work(night) as run:
        execute(url, f"alter role {name} nologin")
        ((holder,),) = execute(url, HOLDER)
        execute(url, "select pg_terminate_backend(%s)", holder)
        wait_for(lambda: execute(url, HOLDER) == [])
        done = other.run(DATABASE_URL=url)
        assert done.returncode == 11
        assert "another run is at work: run 2" in done.stderr
        assert execute(url, "select status from load_run") == [("running",)]
        assert execute(url, HOLDER) == []
        execute(url, f"alter role {name} login")
        go_on()
        assert run.wait(PATIENCE) == 0
    assert night.statuses() == [("report_1.txt", "loaded")]
    night.settings["DATABASE_URL"] = url
    wait_for(lambda: not execute(url, "select 1 from pg_stat_activity where usename = %s", name))
    execute(url, f"drop owned by {name} cascade; drop role {name}")

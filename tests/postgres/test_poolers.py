"""Behind a pooler: session mode works, with two connections. The modes that keep no session are refused first of all."""

from pathlib import Path

import pytest

from kit.night import Night
from kit.pooler import pgbouncer
from kit.samples import line, report
from kit.servers import Postgres, execute, wait_for

pytestmark = pytest.mark.long

REFUSED = "DATABASE_URL leads to a pooler in {} mode, which keeps no session."


def behind(night: Night, port: int) -> Night:
    """Have the night reach its database over the pooler."""
    name = night.settings["DATABASE_URL"].partition("?")[0].rpartition("/")[2]
    night.settings["DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{port}/{name}"
    return night


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_keeps_no_session_is_refused(night: Night, short_tmp: Path, postgres: Postgres, mode: str) -> None:
    direct = night.settings["DATABASE_URL"]
    night.deliver("report_1.txt", report(line()))
    with pgbouncer(short_tmp / mode, postgres, mode) as port:
        behind(night, port)
        for command in ("migrate", "etl.sh", "load.py", "check", "status"):
            done = night.run(command, COLUMNS="400")
            assert done.returncode != 0, command
            assert REFUSED.format(mode) in done.stdout + done.stderr, command
    assert execute(direct, "select count(*) from load_run") == [(0,)]
    assert execute(direct, "select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]
    assert (night.source / "report_1.txt").exists()


def test_session_mode_works_with_two_connections(night: Night, short_tmp: Path, postgres: Postgres) -> None:
    for number in range(6):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com")))
    with pgbouncer(short_tmp / "session", postgres, "session", "default_pool_size = 2") as port:
        behind(night, port)
        assert night.run("migrate").returncode == 0
        for expected in (6, 7):
            done = night.run()
            assert (done.returncode, done.stderr) == (0, "")
            assert night.sql("select count(*) from load_file where status = 'loaded'") == [(expected,)]
            night.deliver("report_6.txt", report(line("p6@example.com")))


@pytest.mark.parametrize("limit", [2, 1])
def test_a_role_with_few_connections(night: Night, limit: int) -> None:
    url = night.settings["DATABASE_URL"]
    name = "few_" + url.partition("?")[0].rpartition("/")[2]
    execute(url, f"create role {name} login connection limit {limit} in role pg_write_all_data, pg_read_all_data")
    execute(url, f"grant usage on sequence load_file_id_seq to {name}")
    for number in range(6):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com")))
    done = night.run(DATABASE_URL=url.replace("//postgres@", f"//{name}@"))
    if limit == 2:
        assert (done.returncode, done.stderr) == (0, "")
        assert len(night.statuses()) == 6
    else:
        assert done.returncode == 12
        assert f'too many connections for role "{name}"' in done.stderr
        assert night.statuses() == []
    wait_for(lambda: not execute(url, "select 1 from pg_stat_activity where usename = %s", name))
    execute(url, f"drop owned by {name}; drop role {name}")

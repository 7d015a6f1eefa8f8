"""Promises about single files: refused lines, quarantine, tampering, names and gaps."""

import os
import subprocess

import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, ROOT, execute, wait_for
from postgres.statements import query


def good(count: int, start: int = 0) -> list[bytes]:
    return [line(f"p{number}@example.com") for number in range(start, start + count)]


@pytest.mark.parametrize("table", ["statistics", "visitor"])
def test_lines_that_postgres_refuses(night: Night, table: str) -> None:
    """Validation accepts the lines, a constraint in Postgres refuses them: they are rejected, the rest of the file is loaded."""
    night.sql(f"alter table {table} add constraint no_odd_people check (email !~ 'odd')")
    lines = good(500)
    refused = (2, 137, 138, 500)
    for number in refused:
        lines[number - 2] = line(f"odd{number}@example.com")
    lines.append(b"not even a line\r\n")
    night.deliver("report_1.txt", report(*lines))
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert night.sql("select status, rows_read, rows_loaded, rows_rejected from load_file") == [("loaded", 501, 496, 5)]
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(496, 496)]
    assert night.sql("select line_number, codes, raw_line from errors order by 1") == [
        *((number, ["load-refused"], f"odd{number}@example.com,,,,08/02/2013 18:30,-,0,0,-,0,0,-,-,-,-") for number in refused),
        (502, ["layout-columns"], "not even a line"),
    ]
    ((message,),) = night.sql("select distinct message from errors where line_number < 502")
    assert f'new row for relation "{table}" violates check constraint "no_odd_people"' in message
    assert "@example.com" not in message


def test_refused_lines_are_found_in_logarithmic_time(night: Night) -> None:
    night.sql("create sequence copies")  # a rollback does not undo its count
    night.sql("alter table statistics add check (email <> 'odd@example.com')")
    night.sql(
        "create function count_copies() returns trigger language plpgsql as 'begin perform nextval(''copies''); return null; end'"
    )
    night.sql("create trigger count_copies before insert on statistics execute function count_copies()")
    lines = good(4000)
    lines[1234] = line("odd@example.com")
    night.deliver("report_1.txt", report(*lines))
    assert night.run().returncode == 0
    assert night.sql("select rows_loaded, rows_rejected from load_file") == [(3999, 1)]
    ((copies,),) = night.sql("select last_value from copies")
    assert copies <= 2 * 12 + 4  # the whole file, twice, and two halves in each of log2(4000) steps


def test_quarantine(night: Night) -> None:
    bad = [b"x,y\r\n"] * 3
    night.deliver("report_1.txt", report(*good(7), *bad))
    night.deliver("report_2.txt", report(*good(8, 10), *bad[:2]))
    done = night.run(MAX_ERROR_RATE="0.2")
    assert done.returncode == 3
    assert "report_1.txt is quarantined" in done.stderr
    assert night.sql("select name, status, rows_read, rows_loaded, rows_rejected from load_file order by id") == [
        ("report_1.txt", "quarantined", 10, 0, 10),
        ("report_2.txt", "loaded", 10, 8, 2),
    ]
    assert night.sql("select line_number, codes[1] from errors where file_id = 1 order by 1") == [
        (1, "error-rate"), (9, "layout-columns"), (10, "layout-columns"), (11, "layout-columns"),
    ]  # fmt: skip
    assert night.sql("select count(*) from statistics where file_id = 1") == [(0,)]
    assert night.sql("select count(*) from visitor") == [(8,)]
    assert night.sql("select count(distinct archive_name) from load_file where archived_at is not null") == [(1,)]
    assert list(night.source.iterdir()) == []
    night.deliver("report_1.txt", report(*good(7), *bad))  # as the README says: put the file back, with a higher rate
    assert night.run(MAX_ERROR_RATE="0.5").returncode == 0
    assert night.statuses()[-1] == ("report_1.txt", "loaded")


def test_refused_lines_count_for_the_quarantine(night: Night) -> None:
    night.sql("alter table statistics add constraint no_odd_people check (email !~ 'odd')")
    night.deliver("report_1.txt", report(*good(3), line("odd@example.com"), b"x\r\n"))
    assert night.run(MAX_ERROR_RATE="0.3").returncode == 3
    assert night.sql("select status, rows_read, rows_loaded, rows_rejected from load_file") == [("quarantined", 5, 0, 5)]
    assert night.sql("select line_number, codes[1] from errors order by 1") == [
        (1, "error-rate"), (5, "load-refused"), (6, "layout-columns"),
    ]  # fmt: skip
    assert night.sql("select count(*) from visitor union all select count(*) from statistics") == [(0,), (0,)]


def test_addresses_in_two_pieces_count_once(night: Night) -> None:
    night.sql("alter table statistics add constraint no_odd_people check (email !~ 'odd')")
    lines = [*good(20), line("odd@example.com"), *good(20)]
    night.deliver("report_1.txt", report(*lines))
    assert night.run().returncode == 0
    assert night.sql("select rows_loaded, visitors_new, visitors_updated from load_file") == [(40, 20, 0)]


def test_replaced_between_download_and_delete(night: Night) -> None:
    path = night.deliver("report_1.txt", report(*good(3)))
    for stage in ("extract.py", "transform.py", "load.py"):
        assert night.run(stage).returncode == 0
    path.write_bytes(report(*good(2, 100)))
    done = night.run("archive.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert path.exists()
    assert night.left_in_work() == []
    done = night.run()
    assert done.returncode == 0
    assert "report_1.txt came before with another content" in done.stderr
    assert night.sql("select rows_loaded, name_reused from load_file order by id") == [(3, False), (2, True)]
    assert not path.exists()


def test_replaced_while_an_earlier_one_is_in_work(night: Night) -> None:
    path = night.deliver("report_1.txt", report(*good(3)))
    assert night.run("extract.py").returncode == 0
    path.write_bytes(report(*good(2, 100)))
    done = night.run("extract.py")
    assert "left report_1.txt for the next run: an earlier file of that name is still in work" in done.stderr
    assert night.run().returncode == 0
    assert night.run().returncode == 0
    assert night.sql("select rows_loaded from load_file order by id") == [(3,), (2,)]
    assert not path.exists()


def test_sent_again_under_another_name(night: Night) -> None:
    for name in ("report_1.txt", "report_2.txt"):
        night.deliver(name, report(*good(3)))
    assert night.run().returncode == 0
    night.deliver("report_3.txt", report(*good(3)))
    assert night.run().returncode == 0
    assert night.statuses() == [("report_1.txt", "loaded"), ("report_2.txt", "duplicate"), ("report_3.txt", "duplicate")]
    assert night.sql("select sum(visitas_totales) from visitor") == [(3,)]


def test_a_gap_is_reported_once(night: Night) -> None:
    for number in (7, 9):
        night.deliver(f"report_{number}.txt", report(*good(1, number)))
    done = night.run()
    assert done.returncode == 0
    assert done.stderr == "load: missing in the consecutive numbers: report_8.txt. Hint: ask the sender; each is named once.\n"
    night.deliver("report_12.txt", report(*good(1, 12)))
    assert "numbers: report_10.txt, report_11.txt." in night.run().stderr
    assert night.run().stderr == ""
    night.deliver("report_8.txt", report(*good(1, 8)))
    night.deliver("report_20130208.txt", report(*good(1, 20)))  # a new way to number, not twenty million gaps
    assert night.run().stderr == ""


ENTER = """
insert into load_run (id, script, host, started_at, finished_at, as_of, visit_event, status, exit_status)
values ('early', 'etl', 'host', now(), now(), '2013-02-15', 'envio', 'done', 0);
insert into load_file (run_id, name, sha256, bytes, status, name_reused, rows_read, rows_loaded, rows_rejected, visitors_new,
                       visitors_updated, first_seen_at, source_mtime, archive_name, archived_at, source_deleted_at)
select 'early', name, encode(sha256(name::bytea), 'hex'), 1, 'refused', false, 0, 0, 0, 0, 0, now(), now(), 'x', now(), now()
from (select 'report_' || n * 1000 || '.txt' from generate_series(1, 120) n
      union all select 'w' || n || '_' || m || '.txt' from generate_series(1, 1500) n, (values (1), (3)) v (m)) named (name);
"""


def test_most_gaps_are_a_range(night: Night) -> None:
    """However files are numbered, a night enters fewer than 2,000, and the next names none of them again."""
    night.sql(ENTER)
    said = night.run().stderr
    assert said.startswith("load: missing in the consecutive numbers: report_1001.txt, report_1002.txt, ")
    assert "and 990 more, see load_gap; and most from report_2002.txt to report_119999.txt, w" in said
    ((entered,),) = night.sql("select count(*) from load_gap")
    assert 1000 < entered < 2000
    night.sql("delete from load_file where name ~ '^w'")
    night.deliver("report_5500.txt", report(*good(2)))
    night.deliver("report_120002.txt", report(*good(3)))
    assert "numbers: report_120001.txt. Hint" in night.run().stderr


def test_a_report_still_being_written_is_no_gap(night: Night) -> None:
    for number in (7, 8, 9):
        path = night.deliver(f"report_{number}.txt", report(*good(1, number)))
        os.utime(path, (1, 1) if number != 8 else None)
    assert night.run(MIN_AGE_SECONDS="60").stderr == ""
    assert night.run().stderr == ""
    assert [name for name, _ in night.statuses()] == ["report_7.txt", "report_9.txt", "report_8.txt"]


def test_exactly_the_rate_is_not_above_it(night: Night) -> None:
    night.deliver("report_1.txt", report(*good(71), *[b"x\r\n"] * 29))
    assert night.run(MAX_ERROR_RATE="0.29").returncode == 0
    assert night.statuses() == [("report_1.txt", "loaded")]


def test_thousands_of_refused_lines(night: Night) -> None:
    night.sql("alter table statistics add constraint no_odd_people check (email !~ 'odd')")
    night.deliver("report_1.txt", report(*(line(f"odd{number}@example.com") for number in range(9000)), *good(3)))
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert night.sql("select rows_loaded, rows_rejected from load_file") == [(3, 9000)]


def test_a_killed_run_is_marked_crashed_and_leaves_no_lock(night: Night) -> None:
    night.deliver("report_1.txt", report(*good(3)))
    night.sql("create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(3); return new; end'")
    night.sql("create trigger slow before insert on load_file for each row execute function slow()")
    with subprocess.Popen(["bash", str(ETL / "etl.sh")], env=night.environment(), start_new_session=True) as run:
        while not night.sql("select 1 from pg_stat_activity where wait_event = 'PgSleep'"):
            assert run.poll() is None
        os.killpg(run.pid, 9)
    running = "select 1 from pg_stat_activity where application_name = 'visitas-etl' and datname = current_database()"
    wait_for(lambda: not night.sql(running))
    assert night.sql("select status from load_run") == [("running",)]
    done = night.run()
    assert done.returncode == 0
    assert "ended without a word" in done.stderr
    assert night.sql("select status from load_run order by started_at, id") == [("crashed",), ("done",)]
    assert night.statuses() == [("report_1.txt", "loaded")]


def test_file_ids_go_on_where_they_were(database: str) -> None:
    """The database has rows from before ids were reserved."""
    migrations = sorted((ROOT / "sql" / "migrations").glob("*.sql"))
    execute(database, "drop schema public cascade")
    execute(database, "create schema public")
    for path in migrations[:2]:
        execute(database, path.read_text())
    execute(
        database,
        "insert into load_run (id, script, host, started_at, as_of, visit_event) values ('r', 'etl', 'h', now(), now(), 'open')",
    )
    execute(
        database,
        "insert into load_file values (41, 'r', 'report_1.txt', repeat('0', 64), 1, now(),"
        " 'loaded', false, 0, 0, 0, 0, 0, now())",
    )
    for path in migrations[2:]:
        execute(database, path.read_text())
    assert execute(database, query("ledger/file_ids").replace("%(count)s", "2")) == [(42,), (43,)]

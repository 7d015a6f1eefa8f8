"""One session: whatever a role or a database sets, the night is the same; what cannot be used is refused."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import cursor

from base.settings import DatabaseSettings
from kit.night import Night
from kit.samples import line, report
from kit.servers import OpenSSH, Postgres, execute
from postgres.database import Database

TABLES = {  # what must be the same, in an order of its own
    "visitor": "*",
    "visitor_basis": "*",
    "statistics": "*",
    "errors": "*",
    "load_file": "name, sha256, bytes, source_mtime, status, name_reused, rows_read, rows_loaded, rows_rejected,"
    " archived_at is null, source_deleted_at is null",  # which of two files was first with an address is chance
    "load_campaign": "*",
    "load_gap": "name",
    "load_reject": "*",
    "load_run": "script, as_of, visit_event, status, exit_status",
}
DAY = 1_360_000_000  # seconds since 1970: when the reports were sent
# What somebody may have set for a role or a database, a night for each group.
SETTINGS = {
    "serializable": {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    "repeatable read": {"default_transaction_isolation": "repeatable read", "synchronous_commit": "off"},
    "limits": {
        "statement_timeout": "1500ms",
        "transaction_timeout": "1500ms",
        "idle_in_transaction_session_timeout": "1s",
        "idle_session_timeout": "1s",
        "lock_timeout": "1ms",
    },
    "forms": {
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "iso_8601",
        "TimeZone": "Asia/Kolkata",
        "extra_float_digits": "-10",
        "bytea_output": "escape",
        "client_encoding": "LATIN1",
    },
    "language": {
        "standard_conforming_strings": "off",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "quote_all_identifiers": "on",
        "check_function_bodies": "off",
        "client_min_messages": "debug1",
        "row_security": "off",
    },
    "plans": {"plan_cache_mode": "force_custom_plan", "enable_hashjoin": "off", "enable_indexscan": "off", "jit_above_cost": "0"},
    "no search path": {"search_path": "''", "DateStyle": "German"},
    "another search path": {"search_path": "nowhere, pg_catalog"},
}


def deliver(night: Night) -> None:
    """Deliver reports with all that the night has to do: many lines, bad lines, copies, a name that comes again, a gap."""
    lines = [line(f"p{number % 40}@example.com", clicked="09/02/2013 10:00") for number in range(120)]
    contents = {
        "report_1.txt": report(*lines),
        "report_2.txt": report(*lines[:7], b"x,y\r\n", line("no address")),
        "report_3.txt": report(*lines[:7], b"x,y\r\n", line("no address")),
        "report_5.txt": b"no header\r\n",
    }
    for name, content in contents.items():
        night.deliver(name, content)
        os.utime(night.source / name, (DAY, DAY))


def two_nights(night: Night, url: str, owner: str) -> dict[str, list[Any]]:
    """Make the schema as ``owner``, run two nights as ``url``, ask what people ask, and return what is in the tables."""
    assert night.run("migrate", DATABASE_URL=owner).returncode == 0
    night.sql("create function pause() returns trigger language plpgsql as 'begin perform pg_sleep(2); return null; end'")
    night.sql(
        "create trigger pause after insert on load_file for each row when (new.name = 'report_1.txt') execute function pause()"
    )
    deliver(night)
    done = night.run(DATABASE_URL=url)
    assert done.returncode == 3, done.stderr
    assert "report_5.txt is refused" in done.stderr
    assert "missing in the consecutive numbers: report_4.txt" in done.stderr
    (night.source / "report_1.txt").write_bytes(report(line("other@example.com")))
    os.utime(night.source / "report_1.txt", (DAY + 1, DAY + 1))
    done = night.run(DATABASE_URL=url, AS_OF="2013-03-01")
    assert done.returncode == 0, done.stderr
    for command in (["status"], ["history"], ["report", "--month", "2013-02"], ["explain", "--email", "p1@example.com"]):
        done = night.run(*command, DATABASE_URL=url)
        assert (done.returncode in (0, 2), done.stderr) == (True, ""), done.stdout  # 2: there is no cron line
    assert "going on without" not in (night.logs / "etl.log").read_text()
    return {name: sorted(map(repr, night.sql(f"select {columns} from {name} as t"))) for name, columns in TABLES.items()}


@contextmanager
def bare_database(postgres: Postgres, name: str) -> Iterator[str]:
    """Give the address of a database without tables, and drop it at the end."""
    yield postgres.create(name, "template0")
    postgres.drop(name)


@pytest.fixture
def bare(postgres: Postgres, role: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database without tables for one test; it goes before the role that may own things in it."""
    with bare_database(postgres, f"bare_{abs(hash(request.node.nodeid))}") as url:
        yield url


@pytest.fixture
def bare_night(tmp_path: Path, bare: str, openssh: OpenSSH) -> Night:
    """A night with a database without tables."""
    return Night(tmp_path, openssh.settings() | {"DATABASE_URL": bare})


@pytest.fixture
def role(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """A role for one test that may do everything."""
    name = f"role_{abs(hash(request.node.nodeid))}"
    execute(postgres.url, f"create role {name} superuser login")
    yield name
    execute(postgres.url, f"drop role {name}")


def address_of(role: str, url: str) -> str:
    """Return the address of a database for a role."""
    return url.replace("//postgres@", f"//{role}@")


@pytest.fixture(scope="session")
def plain(postgres: Postgres, openssh: OpenSSH, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What two nights leave in a database where nobody set anything."""
    with bare_database(postgres, f"plain_{os.getpid()}") as url:
        night = Night(tmp_path_factory.mktemp("plain"), openssh.settings() | {"DATABASE_URL": url})
        return two_nights(night, url, url)


@pytest.mark.long
@pytest.mark.parametrize("group", SETTINGS)
def test_the_night_is_the_same_whatever_is_set(bare_night: Night, role: str, plain: dict[str, list[Any]], group: str) -> None:
    bare = bare_night.settings["DATABASE_URL"]
    for name, value in SETTINGS[group].items():
        execute(bare, f"alter role {role} set {name} = {value if name == 'search_path' else repr(value)}")
    url = address_of(role, bare)
    assert two_nights(bare_night, url, bare if "search_path" in SETTINGS[group] else url) == plain


def test_a_commit_is_on_the_disk(database: str, role: str) -> None:
    """A report is deleted once it is committed: a commit that waits for no disk would lose it."""
    for value, used in (("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")):
        execute(database, f"alter role {role} set synchronous_commit = {value}")
        with connected(address_of(role, database)) as cursor:
            cursor.execute("show synchronous_commit")
            assert cursor.fetchone() == (used,)


@contextmanager
def connected(url: str) -> Iterator[cursor]:
    """Give a transaction on a connection of the program's own."""
    link = Database(DatabaseSettings(database_url=url, retry_seconds=0))
    try:
        with link.transaction() as opened:
            yield opened
    finally:
        link.close()


# Where the tables are.


def test_a_schema_that_comes_in_front_is_no_place_for_a_second_set_of_tables(
    tmp_path: Path, bare: str, role: str, openssh: OpenSSH
) -> None:
    night = Night(tmp_path, openssh.settings() | {"DATABASE_URL": address_of(role, bare)})
    assert night.run("migrate").returncode == 0
    night.deliver("report_1.txt", report(line()))
    assert night.run().returncode == 0
    execute(bare, f"create schema {role}")  # "$user" comes first in the search path
    done = night.run("migrate")
    assert (done.returncode, done.stdout) == (0, "The schema is up to date; migrations applied now: none.\n")
    night.deliver("report_2.txt", report(line()))
    assert night.run().returncode == 0
    assert execute(bare, "select status from public.load_file order by id") == [("loaded",), ("duplicate",)]
    assert execute(bare, "select schemaname from pg_tables where tablename = 'load_file'") == [("public",)]


def test_two_sets_of_tables_are_refused_and_named(night: Night) -> None:
    night.sql("create schema older")
    night.sql("create table older.load_file (id int)")
    night.sql("create table older.visitor_basis (id int)")
    night.deliver("report_1.txt", report(line()))
    done = night.run()
    assert done.returncode == 12
    assert "there are two sets of tables, in the schemas older and public. Hint: keep one" in done.stderr
    assert night.run("migrate").returncode == 12
    assert "the schemas older and public" in night.run("check", COLUMNS="300").stdout
    night.sql("alter table older.load_file rename to load_file_2012")
    assert night.run().returncode == 0


def test_a_second_set_that_the_role_cannot_use_is_none_of_its_business(tmp_path: Path, database: str) -> None:
    execute(database, "create schema other; create table other.load_file (); create table other.visitor_basis ()")
    name = database.partition("?")[0].rpartition("/")[2]
    execute(database, f"create role reader_{name} login; grant select on all tables in schema public to reader_{name}")
    with connected(address_of(f"reader_{name}", database)) as cursor:
        cursor.execute("select count(*) from load_file")
    execute(database, f"drop owned by reader_{name}; drop role reader_{name}")


def test_a_schema_that_is_open_to_everybody_is_refused(tmp_path: Path, bare: str, openssh: OpenSSH) -> None:
    """As public was before PostgreSQL 15: somebody's function could be taken for one of ours."""
    night = Night(tmp_path, openssh.settings() | {"DATABASE_URL": bare})
    execute(bare, 'create schema "the reports"')
    execute(bare, 'grant create on schema "the reports" to public')
    night.settings["DATABASE_URL"] += "&options=-csearch_path%3D%22the%5C%20reports%22"
    night.deliver("report_1.txt", report(line()))
    healing = 'revoke create on schema "the reports" from public;'
    for command in ("migrate", "etl.sh", "status"):
        done = night.run(command, COLUMNS="400")
        assert done.returncode == 12, command
        assert f"let the owner run: {healing}" in done.stdout + done.stderr, command
    assert execute(bare, "select count(*) from pg_tables where tablename = 'load_file'") == [(0,)]
    execute(bare, healing)
    assert night.run("migrate").returncode == 0
    assert night.run().returncode == 0


def test_other_digits_are_no_numbers(tmp_path: Path, postgres: Postgres, openssh: OpenSSH) -> None:
    name = f"unicode_{os.getpid()}"
    execute(
        postgres.url,
        f"create database {name} template template0 encoding 'UTF8' locale_provider builtin builtin_locale 'PG_UNICODE_FAST'",
    )
    try:
        night = Night(tmp_path, openssh.settings() | {"DATABASE_URL": postgres.address(name)})
        assert night.sql(r"select '٣' ~ '\d'") == [(True,)]  # or this database shows nothing
        assert night.run("migrate").returncode == 0
        for number, digits in enumerate(("1", "٣", "٣٤", "3")):
            night.deliver(f"report_{digits}.txt", report(line(f"p{number}@example.com")))
        done = night.run()
        assert done.returncode == 0
        assert "missing in the consecutive numbers: report_2.txt" in done.stderr
        assert len(night.statuses()) == 4
    finally:
        postgres.drop(name)

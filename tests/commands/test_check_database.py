"""make check finds what would fail the night: each line of the table breaks one thing, check names it, and the night fails."""

import subprocess
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT, Postgres, execute, postgres_program, wait_for

pytestmark = pytest.mark.long

WIDE = {"COLUMNS": "600", "TZ": "America/Mexico_City"}
# What the administrator did, and what check says. {night} is the night's role, {base} its database.
BROKEN = [
    ("alter role {night} set default_transaction_read_only = on", "is read-only"),
    ("alter database {base} set default_transaction_read_only = on", "role {night} set default_transaction_read_only = off;"),
    ("revoke insert on statistics from {night}", "grant insert on statistics to {night};"),
    ("revoke update on visitor from {night}", "grant update on visitor to {night};"),
    ("revoke delete on visitor from {night}", "grant delete on visitor to {night};"),
    ("revoke all on load_gap, load_run from {night}", "grant insert on load_gap to {night};"),
    ("revoke all on load_migration from {night}, public", "grant select on load_migration to {night};"),
    ("revoke usage on sequence load_file_id_seq from {night}", "grant usage on sequence public.load_file_id_seq to {night};"),
    ("revoke usage on schema public from {night}, public", 'grant usage on schema "public" to {night};'),
    ("revoke execute on function visit_date from public", "to {night};"),
    ("revoke execute on function nextval(regclass) from public", "permission denied for function nextval"),
    ("revoke execute on function pg_catalog.set_config from public", "permission denied for function set_config"),
    ("revoke connect on database {base} from {night}, public", "permission denied for database"),
    ("alter role {night} nologin", "not permitted to log in"),
    ("alter role {night} connection limit 1", "a second connection is not given: "),
    ("alter database {base} connection limit 1", "a night needs two: raise the limit of the role, of the database"),
    ("grant create on schema public to public", 'revoke create on schema "public" from public;'),
    ("delete from load_migration where id = '0005_visitor_room'", "the schema lacks 0005_visitor_room. run make"),
    ("update load_migration set sha256 = repeat('0', 64) where id = '0002_views'", "changed since it was applied: 0002_views"),
    ("insert into load_migration values ('9999_later', repeat('0', 64))", "migrations that the database has: 9999_later"),
    ("alter table visitor enable row level security", "would be affected by row-level security policy"),
    ("alter table statistics add check (fecha_envio > '2038-01-01')", "Postgres refuses a good line"),
    ("alter table errors add column team text not null", 'null value in column "team"'),
    ("alter table load_file rename column sha256 to hash", 'column "sha256" does not exist'),
    ("drop table load_campaign cascade", "load_campaign"),
    (
        "create function no() returns trigger language plpgsql as 'begin raise exception ''not today''; end';"
        " create trigger no before update on load_file for each row execute function no()",
        "not today",
    ),
    (
        "create schema other; create table other.load_file (); create table other.visitor_basis ();"
        " grant usage on schema other to {night}",
        "in the schemas other and public",
    ),
]


@pytest.fixture
def least(night: Night, postgres: Postgres) -> Iterator[Night]:
    """A night whose role has the least rights, which sql/roles.sql gives."""
    url = night.settings["DATABASE_URL"]
    base = base_of(url)
    names = {"owner": "postgres", "night": f"night_{base}", "reader": f"reader_{base}"}
    variables = [argument for role, name in names.items() for argument in ("-v", f"{role}={name}")]
    subprocess.run(
        [postgres_program("psql"), "-qX", "-d", url, *variables, "-f", str(ROOT / "sql" / "roles.sql")], check=True, stdout=-3
    )
    night.settings["DATABASE_URL"] = url.replace("//postgres@", f"//{names['night']}@")
    yield night
    wait_for(lambda: not execute(postgres.url, "select 1 from pg_stat_activity where usename = %s", names["night"]))
    execute(postgres.url, f"alter database {base} reset all; alter database {base} with connection limit -1")
    execute(url, f"drop owned by {names['night']}, {names['reader']}; drop role {names['night']}, {names['reader']}")


def base_of(url: str) -> str:
    """Return the name of a database."""
    return url.partition("?")[0].rpartition("/")[2]


def look(night: Night) -> str:
    """Return what check says of Postgres, on one line."""
    (row,) = (row for row in night.run("check", **WIDE).stdout.splitlines() if row.startswith("│ Postgres "))
    return " ".join(" ".join(row.split("│")).split())


def test_a_good_database_and_nothing_is_left_behind(least: Night, database: str) -> None:
    for _ in range(2):
        assert "ok PostgreSQL 18" in look(least)
        assert look(least).endswith("a load was tried and taken back")
    for table in ("load_file", "load_run", "statistics", "visitor", "errors", "load_gap", "load_campaign", "visitor_basis"):
        assert execute(database, f"select count(*) from {table}") == [(0,)]
    least.deliver("report_1.txt", report(line()))
    assert least.run().returncode == 0
    assert "a load was tried and taken back" in look(least)  # also with a basis, and visitors


def test_a_load_at_work_is_not_held_up(least: Night, database: str) -> None:
    with closing(psycopg2.connect(database)) as other:
        other.cursor().execute("lock table visitor_basis in exclusive mode")
        assert "loading is not tried: a load is at work" in look(least)


@pytest.mark.parametrize(("statement", "said"), BROKEN)
def test_check_finds_what_fails_the_night(least: Night, database: str, postgres: Postgres, statement: str, said: str) -> None:
    names = {"base": base_of(database), "night": f'"{least.settings["DATABASE_URL"].partition("@")[0].rpartition("/")[2]}"'}
    least.deliver("report_1.txt", report(line(), b"no line"))
    execute(postgres.url if "connect" in statement else database, statement.format(**names))
    found = look(least)
    assert found.startswith("Postgres FAULT"), found
    assert said.format(**names) in found
    done = least.run()
    assert done.returncode == 12 or execute(postgres.address(names["base"]), "select rows_loaded from load_file") == [(0,)]

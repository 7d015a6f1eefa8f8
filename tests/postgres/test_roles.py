"""sql/roles.sql: an owner who migrates, a night and a reader with the least rights, under any names."""

import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import psycopg2
import pytest
from pydantic import SecretStr

from base.settings import DatabaseSettings
from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT, Postgres, execute, postgres_program
from postgres.migrations import migrate

NAMES = {"owner": "visitas_owner", "night": "visitas_night", "reader": "visitas_reader"}
STRANGE = {"owner": "My-Role", "night": "o'night", "reader": 'Zoë "R" $1'}
SAME_ZONE = {"TZ": "America/Mexico_City"}


@pytest.fixture(params=[NAMES, STRANGE], ids=["plain", "strange"])
def names(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[dict[str, str]]:
    """The names of the roles, which are gone afterwards."""
    yield request.param
    for name in reversed(request.param.values()):
        execute(postgres.url, f"drop role if exists {identifier(name)}")


@pytest.fixture
def empty(names: dict[str, str], postgres: Postgres) -> Iterator[str]:
    """The address of a database without tables."""
    yield postgres.create("roles", template="template0")
    postgres.drop("roles")


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def roles(url: str, names: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run sql/roles.sql as the administrator."""
    variables = [argument for role, name in names.items() for argument in ("-v", f"{role}={name}")]
    command = [postgres_program("psql"), "-X", "-d", url, *variables, "-f", str(ROOT / "sql" / "roles.sql")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def as_role(url: str, name: str) -> str:
    return f"{url}&user={quote(name)}"


def test_each_role_can_do_its_work_and_no_more(night: Night, empty: str, names: dict[str, str]) -> None:
    owner, runner, reader = (as_role(empty, names[role]) for role in ("owner", "night", "reader"))
    assert roles(empty, names).stdout.startswith("Now run make postgres-setup as the owner.")
    migrated = night.run("migrate", DATABASE_URL=owner)
    assert migrated.returncode == 0, migrated.stderr
    for _ in range(2):
        done = roles(empty, names)
        assert (done.returncode, done.stdout, done.stderr) == (0, "The roles may do what they need.\n", "")
    assert execute(empty, "select tableowner, schemaname from pg_tables where tablename = 'load_run'") == [
        (names["owner"], "visitas")
    ]

    night.deliver("report_1.txt", report(line(), b"no line\r\n"))
    night.deliver("report_3.txt", report(line()))
    first = night.run(DATABASE_URL=runner)
    assert (first.returncode, "report_2.txt" in first.stderr) == (0, True)
    night.deliver("report_4.txt", report(line("bea@example.com")))
    later = night.run(DATABASE_URL=runner, AS_OF="2014-01-01", VISIT_EVENT="open")  # counts anew
    assert (later.returncode, later.stderr) == (0, "")
    assert execute(runner, "select name, status from load_file order by id") == [
        (f"report_{number}.txt", "loaded") for number in (1, 3, 4)
    ]
    assert "FAULT" not in line_of(night.run("check", DATABASE_URL=runner, **SAME_ZONE).stdout, "Postgres")

    execute(empty, f"alter role {identifier(names['owner'])} createdb")
    drilled = night.run("restore-drill", DATABASE_URL=owner)
    assert (drilled.returncode, drilled.stderr) == (0, "")

    for command in (
        ["history"],
        ["history", "--file", "report_1.txt"],
        ["explain", "--email", "ana@example.com"],
        ["explain", "--file", "report_1.txt", "--line", "2"],
        ["report", "--month", "2013-02"],
    ):
        shown = night.run(*command, DATABASE_URL=reader)
        assert (shown.returncode, shown.stderr) == (0, "")
    looked = night.run("status", DATABASE_URL=reader).stdout
    for thing in ("last night", "lock", "last backup", "database"):
        assert " ok " in line_of(looked, thing)
    views = {"campaign_summary", "monthly_summary", "report_fate", "visitor_activity", "rejects_by_code"}
    assert {view for view in views if execute(reader, f"select 1 from {view} limit 1")} == views


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        *(
            ("reader", statement)
            for statement in ("delete from load_gap", "insert into visitor_basis values (true, now(), 'open')")
        ),
        ("reader", "create table visitas.t ()"),
        ("night", "create function visitas.f() returns int language sql as 'select 1'"),
        ("night", "update load_migration set sha256 = ''"),
        ("night", "delete from load_file"),
        ("night", "update load_change set changed_by = ''"),
        ("owner", "create table public.t ()"),
    ],
)
def test_what_a_role_may_not_do(night: Night, empty: str, names: dict[str, str], role: str, statement: str) -> None:
    roles(empty, names)
    assert night.run("migrate", DATABASE_URL=as_role(empty, names["owner"])).returncode == 0
    roles(empty, names)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(as_role(empty, names[role]), statement)


def test_an_administrator_needs_no_superuser(postgres: Postgres) -> None:
    """As with a server that somebody else runs."""
    execute(postgres.url, "create role admin login createrole createdb")
    execute(as_role(postgres.url, "admin"), "create database roles_admin template template0")
    url = as_role(postgres.address("roles_admin"), "admin")
    for _ in range(2):
        done = roles(url, {})
        assert (done.returncode, done.stderr) == (0, "")
    migrate(DatabaseSettings(database_url=SecretStr(as_role(postgres.address("roles_admin"), "visitas_owner"))))
    assert roles(url, {}).stdout == "The roles may do what they need.\n"
    postgres.drop("roles_admin")
    execute(postgres.url, "drop role visitas_owner, visitas_night, visitas_reader")
    execute(postgres.url, "drop role admin")


def test_tables_stay_where_they_are(database: str, names: dict[str, str]) -> None:
    """They belong to another role already, which is named; then nothing is done."""
    (me,) = execute(database, "select current_user")[0]
    refused = roles(database, names)
    assert refused.returncode == 3
    assert f"the tables belong to {me}" in refused.stderr
    assert f"-v owner='{me}'" in refused.stderr
    assert execute(database, "select count(*) from pg_roles where rolname = any(%s)", list(names.values())) == [(0,)]
    assert roles(database, names | {"owner": me}).returncode == 0
    assert execute(database, "select to_regnamespace('visitas')") == [(None,)]
    assert execute(as_role(database, names["reader"]), "select count(*) from public.visitor") == [(0,)]
    execute(database, f"drop owned by {identifier(names['night'])}, {identifier(names['reader'])}")


def line_of(table: str, name: str) -> str:
    """Return the line of a table that begins with the name."""
    return next(row for row in table.splitlines() if row.startswith(f"│ {name}"))

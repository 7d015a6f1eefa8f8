"""What Postgres's own log gets of the data, and what keeps it out: "The server's log" in sql/README.md."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from base.settings import DatabaseSettings
from base.trouble import StageError
from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT, Postgres, execute, postgres_program
from postgres.database import Database
from postgres.statements import query

ALTERED = re.findall(r"^ {6}(alter role etl set .*;)$", (ROOT / "sql" / "README.md").read_text(), re.MULTILINE)
PLAIN = "create role etl login in role pg_read_all_data, pg_write_all_data; grant usage on sequence load_file_id_seq to etl"
ROLES = ("visitas_night", "visitas_reader", "visitas_owner", "etl")


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The address of a database without tables; it goes before the roles."""
    yield postgres.create("logged", "template0")
    postgres.drop("logged")
    for role in ROLES:
        execute(postgres.url, f"drop role if exists {role}")


def as_role(url: str, role: str) -> str:
    return f"{url}&user={role}"


def superuser(night: Night) -> str:
    """Return the role of an installation that a superuser runs."""
    assert night.run("migrate").returncode == 0
    return "postgres"


def plain(night: Night) -> str:
    """Return a role that is no superuser."""
    superuser(night)
    night.sql(PLAIN)
    return "etl"


def altered(night: Night) -> str:
    """Return that role, with what the document has the administrator type."""
    plain(night)
    assert len(ALTERED) == 2
    night.sql("".join(ALTERED))
    return "etl"


def least(night: Night) -> str:
    """Return the night's role of roles.sql, which a superuser ran."""
    url = night.settings["DATABASE_URL"]
    command = [postgres_program("psql"), "-X", "-d", url, "-f", str(ROOT / "sql" / "roles.sql")]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
        assert night.run("migrate", DATABASE_URL=as_role(url, "visitas_owner")).returncode == 0
    return "visitas_night"


@pytest.mark.parametrize(
    ("role_of", "kept"),
    [
        (superuser, set()),
        (altered, set()),
        (least, set()),
        (plain, {"DETAIL", "CONTEXT", "STATEMENT"}),  # which cannot be helped: only a superuser may
    ],
)
def test_addresses_in_the_servers_log(night: Night, postgres: Postgres, role_of: Any, kept: set[str]) -> None:
    night.settings["DATABASE_URL"] = as_role(night.settings["DATABASE_URL"], role_of(night))
    log = postgres.folder / "log"
    before = log.stat().st_size
    refused_lines(night, postgres)
    failing_commands(night, postgres)
    load_that_breaks_off(night)
    rows = log.read_bytes()[before:].decode().replace("\n\t", " ").splitlines()
    assert {re.findall(r"] (\w+):", row)[0] for row in rows if "@example.com" in row} == kept
    errors = [row.partition("ERROR:  ")[2] for row in rows if "ERROR:  " in row]
    assert {error for error in errors if "constraint" in error} == {  # the administrator still sees what is wrong
        'new row for relation "statistics" violates check constraint "no_bea"',
        'new row for relation "visitor" violates check constraint "no_carl"',
    }
    assert [error for error in errors if error.startswith("COPY from stdin failed")]


def as_administrator(postgres: Postgres, *statements: str) -> None:
    for statement in statements:
        execute(postgres.address("logged"), statement)


def refused_lines(night: Night, postgres: Postgres) -> None:
    """Run a night with lines that Postgres refuses, in two tables, and with a rejected line."""
    (schema,) = execute(postgres.address("logged"), "select schemaname from pg_tables where tablename = 'visitor'")[0]
    as_administrator(
        postgres,
        f"alter table {schema}.statistics add constraint no_bea check (email <> 'bea@example.com')",
        f"alter table {schema}.visitor add constraint no_carl check (email <> 'carl@example.com')",
    )
    night.deliver("report_1.txt", report(line(), line("bea@example.com"), line("carl@example.com"), b"eva@example.com,\r\n"))
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert night.sql("select rows_loaded, rows_rejected from load_file") == [(1, 3)]


def failing_commands(night: Night, postgres: Postgres) -> None:
    """Explain and forget a visitor, then have both fail in the middle."""
    assert night.run("explain", "--email", "ana@example.com").returncode == 0
    (schema,) = execute(postgres.address("logged"), "select schemaname from pg_tables where tablename = 'visitor'")[0]
    as_administrator(
        postgres,
        f"create function {schema}.no() returns trigger language plpgsql as 'begin raise exception $$no$$; end'",
        f"create trigger no before delete on {schema}.visitor for each row execute function {schema}.no()",
    )
    assert night.run("forget", "--email", "ana@example.com", "--yes").returncode == 12
    as_administrator(postgres, f"alter table {schema}.visitor rename to hidden")
    assert night.run("explain", "--email", "ana@example.com").returncode == 12


def load_that_breaks_off(night: Night) -> None:
    """Copy a line, and break off in the next."""

    class Breaking:
        blocks = iter([b"eva@example.com,,,,2013-02-08 18:30,,0,0,,0,0,,,,,2\n", b"dan@example.com,"])

        def read(self, _: int) -> bytes:
            if block := next(self.blocks, None):
                return block
            raise OSError("the disk is gone")

    settings = DatabaseSettings(database_url=SecretStr(night.settings["DATABASE_URL"]))
    with closing(Database(settings)) as database, pytest.raises(StageError), database.transaction() as cursor:
        cursor.execute(query("load/file_current"), {"file_id": 9})
        cursor.copy_expert(query("load/statistics_copy"), Breaking())

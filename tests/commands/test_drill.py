"""The restore drill on databases as administrators keep them."""

import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import Postgres, execute

pytestmark = pytest.mark.long


@pytest.fixture
def loaded(night: Night) -> Night:
    """A night that has loaded a report."""
    night.deliver("report_1.txt", report(line(), b"no line\r\n", line("bea@example.com")))
    assert night.run().returncode == 0
    return night


@pytest.mark.parametrize(
    "added",
    [
        "alter table visitor add column team text default 'north'",
        "alter table statistics add column loaded_by text default current_user",
        "create index on statistics (fecha_open)",
        "alter table statistics add column week int generated always as (extract(week from fecha_envio)) stored",
        "comment on column visitor.email is 'whose'; alter table visitor set (autovacuum_enabled = off)",
    ],
)
def test_what_an_administrator_adds_is_no_difference(loaded: Night, added: str) -> None:
    loaded.sql(added)
    done = loaded.run("restore-drill")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no differences" in done.stdout
    loaded.deliver("report_2.txt", report(line("carl@example.com")))
    assert loaded.run().returncode == 0


def test_a_difference_is_found_all_the_same(loaded: Night) -> None:
    loaded.sql("alter table visitor add column team text")
    loaded.sql("update visitor set visitas_totales = 7 where email = 'bea@example.com'")
    done = loaded.run("restore-drill")
    assert done.returncode == 13
    assert "1 difference." in done.stdout


def test_where_everybody_may_create_in_public(loaded: Night, postgres: Postgres) -> None:
    """Such are new databases of PostgreSQL 14: they are copies of template1."""
    url = postgres.address("template1")
    execute(url, "grant create on schema public to public")
    try:
        assert "no differences" in loaded.run("restore-drill").stdout
    finally:
        execute(url, "revoke create on schema public from public")


def test_a_role_that_may_create_no_database(loaded: Night) -> None:
    url = loaded.settings["DATABASE_URL"]
    name = "narrow_" + url.partition("?")[0].rpartition("/")[2]
    execute(url, f"create role {name} login in role pg_read_all_data")
    done = loaded.run("restore-drill", DATABASE_URL=url.replace("//postgres@", f"//{name}@"))
    assert done.returncode == 12
    assert (
        "this role may not create the scratch database of the drill. Hint: let the administrator run: alter role" in done.stderr
    )
    execute(url, f"drop role {name}")

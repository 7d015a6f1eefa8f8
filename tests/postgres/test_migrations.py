"""The migrations: each is applied once and vouched for by its hash; what has drifted, waits or may not is named."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from base.settings import DatabaseSettings
from base.trouble import StageError
from kit.night import Night
from kit.samples import line, report
from kit.servers import Postgres, execute, wait_for
from postgres import migrations
from postgres.statements import query

HARMLESS = "0007_early_versions"  # does nothing where nothing is lacking
SAME_ZONE = {"TZ": "America/Mexico_City"}


def settings_of(url: str) -> DatabaseSettings:
    return DatabaseSettings(database_url=SecretStr(url), retry_seconds=0)


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """The address of a database without tables."""
    yield postgres.create("empty_of_tables", template="template0")
    postgres.drop("empty_of_tables")


@pytest.fixture
def role(postgres: Postgres) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    execute(postgres.url, 'create role "Plain-Role" login')
    yield "Plain-Role"
    execute(postgres.url, 'drop role "Plain-Role"')


def as_role(url: str, role: str) -> str:
    return f"{url}&user={role}"


def test_one_connection_is_enough(postgres: Postgres, empty: str, role: str) -> None:
    execute(postgres.url, f'alter database empty_of_tables owner to "{role}"')
    execute(postgres.url, f'alter role "{role}" connection limit 1')
    applied = migrations.migrate(settings_of(as_role(empty, role)))
    assert applied == sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))
    wait_for(
        lambda: not execute(postgres.url, f"select 1 from pg_stat_activity where usename = '{role}'")
    )  # it is closed there too
    assert migrations.migrate(settings_of(as_role(empty, role))) == []
    assert execute(empty, "select to_regclass('_yoyo_migration')") == [(None,)]
    execute(postgres.url, "alter database empty_of_tables owner to current_user")
    execute(empty, f'reassign owned by "{role}" to current_user')


def drift(database: str, statement: str) -> str:
    """Return what the schema is named for once the statement has run."""
    execute(database, statement)
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor, pytest.raises(StageError) as caught:
        migrations.verify(cursor)
    connection.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("statement", "said", "migrated"),
    [
        (
            "drop table load_migration",
            "the schema is not there, or older than this program. Hint: run make postgres-setup.",
            None,
        ),
        (
            f"delete from load_migration where id = '{HARMLESS}'",
            f"the schema lacks {HARMLESS}. Hint: run make postgres-setup.",
            f"migrations applied now: {HARMLESS}.",
        ),
        (
            "update load_migration set sha256 = repeat('0', 64) where id = '0004_control_log'",
            "a migration's file has changed since it was applied: 0004_control_log."
            " Hint: restore it: git checkout HEAD -- sql/migrations/0004_control_log.sql",
            "has changed since",
        ),
        (
            "insert into load_migration values ('9999_later', repeat('0', 64))",
            "this program does not know migrations that the database has: 9999_later."
            " Hint: the program is older than the schema: update it with git pull and make etl-setup.",
            "does not know migrations",
        ),
    ],
    ids=["none", "missing", "changed", "unknown"],
)
def test_drift_is_named_and_nothing_is_loaded(night: Night, statement: str, said: str, migrated: str | None) -> None:
    """By the night, by check, and by postgres-setup, which heals only what is missing."""
    night.deliver("report_1.txt", report(line()))
    assert drift(night.settings["DATABASE_URL"], statement) == said
    done = night.run()
    assert done.returncode == 12
    assert said in done.stderr
    assert night.statuses() == []
    assert night.sql("select status, exit_status from load_run") == [("failed", 12)]
    assert " ".join(said.split()[:4]) in " ".join(night.run("check", **SAME_ZONE).stdout.split())
    if migrated:
        healed = night.run("migrate")
        assert migrated in healed.stdout + healed.stderr
        assert (healed.returncode == 0) == ("applied now" in migrated)
        assert night.run().returncode == healed.returncode


def test_an_unknown_migration_of_yoyo_is_refused(empty: str) -> None:
    execute(empty, "create table _yoyo_migration (migration_id text)")
    execute(empty, "insert into _yoyo_migration values ('0001_of_somebody')")
    with pytest.raises(StageError, match="does not know migrations that the database has: 0001_of_somebody"):
        migrations.migrate(settings_of(empty))
    assert execute(empty, "select to_regclass('load_migration')") == [(None,)]


def test_a_database_in_another_encoding_is_refused(postgres: Postgres) -> None:
    execute(postgres.url, "create database latin template template0 encoding 'LATIN1' locale 'C'")
    with pytest.raises(StageError, match="encoding is LATIN1, not UTF8"):
        migrations.migrate(settings_of(postgres.address("latin")))
    postgres.drop("latin")


def one_more(database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, statement: str) -> DatabaseSettings:
    """Make a migration that the database lacks; return the settings to apply it."""
    for path in migrations.FOLDER.glob("*.sql"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "0999_more.sql").write_text(statement)
    monkeypatch.setattr(migrations, "FOLDER", folder)
    return settings_of(database)


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "held"),
    [("select count(*) from load_run", "load_run"), (query("schema/lock"), "migrations")],
    ids=["analyst", "another migration"],
)
def test_who_holds_a_lock_is_named(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, held: str
) -> None:
    """After 10 s; until then a reader waits too, and then goes on."""
    settings = one_more(database, tmp_path, monkeypatch, "alter table load_run add column more text")
    holder = psycopg2.connect(database, application_name="analyst")
    waited: list[StageError] = []

    def wait() -> None:
        with pytest.raises(StageError) as caught:
            migrations.migrate(settings)
        waited.append(caught.value)

    with holder.cursor() as cursor:
        cursor.execute(statement)
        (migrating := threading.Thread(target=wait)).start()
        wait_for(lambda: execute(database, "select 1 from pg_locks where not granted and pid <> pg_backend_pid()"))
        assert execute(database, "set statement_timeout = '60s'; select count(*) from load_run") == [(0,)]
        migrating.join()
    said = str(waited[0])
    assert f"in its way: process {holder.info.backend_pid} (analyst of " in said
    assert "since 20" in said
    assert f"with locks on {held}." in said
    assert "pg_terminate_backend" in said
    holder.close()
    assert migrations.migrate(settings) == ["0999_more"]


def test_two_at_once_apply_each_migration_once(empty: str) -> None:
    applied: list[list[str]] = []
    pair = [threading.Thread(target=lambda: applied.append(migrations.migrate(settings_of(empty)))) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    assert sorted(applied[0] + applied[1]) == sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (
            "revoke create on schema public from public",
            'this role may not create tables in schema public. Hint: grant create on schema public to "Plain-Role";',
        ),
        (
            """alter role "Plain-Role" in database empty_of_tables set search_path = ''""",
            'the search_path of "Plain-Role" names no schema that is there.',
        ),
    ],
)
def test_a_role_that_may_not_create(empty: str, role: str, allowed: str, said: str) -> None:
    execute(empty, allowed)
    with pytest.raises(StageError) as caught:
        migrations.migrate(settings_of(as_role(empty, role)))
    assert said in str(caught.value)


def test_a_role_that_does_not_own_the_tables(database: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = one_more(as_role(database, role), tmp_path, monkeypatch, "alter table load_run add column more text")
    execute(database, f'grant select, insert on load_migration to "{role}"')
    (owner,) = execute(database, "select current_user")[0]
    with pytest.raises(StageError, match=f"the tables belong to {owner}.*run make postgres-setup as {owner}"):
        migrations.migrate(settings)
    execute(database, f'drop owned by "{role}"')


def test_every_migration_has_a_number_of_its_own() -> None:
    names = sorted(path.name for path in migrations.FOLDER.glob("*.sql"))
    assert [int(name[:4]) for name in names] == [*range(1, len(names) + 1)]

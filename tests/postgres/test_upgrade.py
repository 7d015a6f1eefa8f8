"""An upgrade: from the first migration with data, through every one to the newest, a database becomes what a new one is."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from pydantic import SecretStr

from base.settings import DatabaseSettings
from kit.night import Night
from kit.samples import line, report
from kit.servers import OpenSSH, Postgres, execute, postgres_program
from postgres import migrations

pytestmark = pytest.mark.long

FILES = sorted(migrations.FOLDER.glob("*.sql"))
EARLY = Path(__file__).parent / "early"  # the first versions of migrations that were edited afterwards
TABLES = ("load_run", "load_file", "visitor", "visitor_basis", "statistics", "errors")  # of the first migration
OWN_OF_A_NIGHT = [  # columns that differ from night to night
    *("run_id", "started_at", "finished_at", "database_bytes", "first_seen_at", "loaded_at", "source_mtime", "noticed_at"),
    *("archive_name", "archived_at", "source_deleted_at", "proved_at"),
]
OF_ONE_TABLE = {"load_run": ["id"], "load_zip": ["name", "sha256", "bytes"]}  # the last two: not known of an old zip


@pytest.fixture
def upgraded(tmp_path: Path, postgres: Postgres, openssh: OpenSSH) -> Iterator[Night]:
    """A night to a database that has no tables yet."""
    (folder := tmp_path / "upgraded").mkdir()
    yield Night(folder, openssh.settings() | {"DATABASE_URL": postgres.create("upgraded", template="template0")})
    postgres.drop("upgraded")


def first_night(night: Night) -> None:
    bounced = line("dan@example.com", opened="09/02/2013 10:00").replace(b",,,,", b",,HARD,SI,")
    night.deliver("report_1.txt", report(line(), line("bea@example.com", opened="09/02/2013 10:00"), bounced, b"no line\r\n"))
    night.deliver("report_2.txt", b"no report")
    assert night.run().returncode == 3


def last_night(night: Night) -> None:
    night.deliver("report_4.txt", report(line(), line("carl@example.com"), line("nobody")))
    assert night.run().returncode == 0


def fill(old: str, new: str) -> None:
    """Put the rows of a new database into one that has the first migration, as far as that has their columns."""
    source, target = psycopg2.connect(new), psycopg2.connect(old)
    with target, source.cursor() as reader, target.cursor() as writer:
        for table in TABLES:
            writer.execute(f"select * from {table}")
            columns = ", ".join(column.name for column in writer.description or ())
            reader.copy_expert(f"copy (select {columns} from {table}) to stdout", rows := io.BytesIO())
            rows.seek(0)
            writer.copy_expert(f"copy {table} ({columns}) from stdin", rows)
    source.close()
    target.close()


def apply_as_yoyo(url: str, path: Path) -> None:
    """Apply a migration and enter it as yoyo did."""
    execute(url, path.read_text(encoding="utf-8"))
    columns = "migration_hash text primary key, migration_id text, applied_at_utc timestamp"
    execute(url, f"create table if not exists _yoyo_migration ({columns})")
    execute(url, "insert into _yoyo_migration values (md5(%s), %s, now())", path.stem, path.stem)


def schema(url: str) -> list[str]:
    """Return the statements that make the schema."""
    command = [postgres_program("pg_dump"), "--schema-only", "--exclude-table=_yoyo*", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if "restrict " not in line]  # holds a word by chance


def contents(url: str) -> dict[str, Any]:
    """Return the rows of every table, without what differs from night to night."""
    tables = execute(url, "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    return {
        table: execute(
            url,
            f"select to_jsonb(t) - %s::text[] as row from {table} t order by 1",
            OWN_OF_A_NIGHT + OF_ONE_TABLE.get(table, []),
        )
        for (table,) in tables
        if table not in ("_yoyo_migration", "load_migration")
    }


@pytest.mark.parametrize("by_yoyo", [1, 3, 5])
def test_a_night_before_the_upgrade(upgraded: Night, by_yoyo: int) -> None:
    """It says what to do, loads nothing, and is entered with its status; after the upgrade the next night does its work."""
    for path in FILES[:by_yoyo]:
        apply_as_yoyo(upgraded.settings["DATABASE_URL"], path)
    upgraded.deliver("report_1.txt", report(line()))
    done = upgraded.run()
    assert done.returncode == 12
    assert "load: the schema is not there, or older than this program. Hint: run make postgres-setup." in done.stderr
    runs = "select status, exit_status from load_run order by started_at, id"
    assert upgraded.sql(runs) == [("failed", 12)]
    assert upgraded.statuses() == []
    assert upgraded.run("migrate").returncode == 0
    done = upgraded.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert upgraded.sql(runs) == [("failed", 12), ("done", 0)]
    assert upgraded.statuses() == [("report_1.txt", "loaded")]


@pytest.mark.parametrize(
    ("versions", "by_yoyo"),
    [(migrations.FOLDER, 1), (EARLY, 4), (EARLY, 6)],
    ids=["step by step", "early versions", "early versions, upgraded since"],
)
def test_an_upgraded_database_is_like_a_new_one(
    night: Night, upgraded: Night, monkeypatch: pytest.MonkeyPatch, versions: Path, by_yoyo: int
) -> None:
    old, new = upgraded.settings["DATABASE_URL"], night.settings["DATABASE_URL"]
    first_night(night)
    for number, path in enumerate(FILES[:by_yoyo]):
        early = versions / path.name
        apply_as_yoyo(old, early if early.exists() else path)
        if number == 0:
            fill(old, new)
    (folder := upgraded.folder / "migrations").mkdir()
    monkeypatch.setattr(migrations, "FOLDER", folder)
    for number, path in enumerate(FILES, 1):
        (folder / path.name).write_bytes(path.read_bytes())
        if number > by_yoyo:
            applied = migrations.migrate(DatabaseSettings(database_url=SecretStr(old), retry_seconds=0))
            assert applied == [path.stem]
    assert schema(old) == schema(new)
    hashes = "select id, sha256 from load_migration order by id"
    assert execute(old, hashes) == execute(new, hashes)
    for one in (night, upgraded):
        last_night(one)
    assert contents(old) == contents(new)
    assert upgraded.statuses() == [("report_1.txt", "loaded"), ("report_2.txt", "refused"), ("report_4.txt", "loaded")]
    assert execute(old, "select name from load_gap") == [("report_3.txt",)]

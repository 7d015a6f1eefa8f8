"""The schema: bring it up to date by the migrations in sql/migrations, and name what has drifted from them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256

from psycopg2.errors import InsufficientPrivilege, InvalidSchemaName, LockNotAvailable
from psycopg2.extensions import cursor

from base.settings import ROOT, DatabaseSettings
from base.trouble import StageError, Status
from postgres.database import Database
from postgres.statements import one, query, rows

FOLDER = ROOT / "sql" / "migrations"


def migrate(settings: DatabaseSettings) -> list[str]:
    """Apply what is missing, in order, each migration in a transaction of its own, and return its ids. Safe to repeat."""
    applied: list[str] = []
    with closing(Database(settings)) as database:
        while name := database.run(apply_next):
            applied.append(name)
    return applied


def verify(cursor: cursor) -> None:
    """Raise StageError unless the database has all migrations of this program, unchanged, and no others."""
    has_record, _ = one(cursor, "schema/records")
    if not has_record:
        raise StageError(Status.POSTGRES, "the schema is not there, or older than this program.", "run make postgres-setup.")
    applied, texts = dict(rows(cursor, "schema/applied")), read_texts()
    refuse_drift(applied, texts)
    if missing := sorted(texts.keys() - applied.keys()):
        raise StageError(Status.POSTGRES, f"the schema lacks {', '.join(missing)}.", "run make postgres-setup.")


def apply_next(cursor: cursor) -> str | None:
    """Apply the first migration that the database lacks and return its id; return None if the database lacks none."""
    texts = read_texts()
    with trouble_named(cursor):
        cursor.execute(query("schema/lock"))
        begin_record(cursor, texts)
        applied = dict(rows(cursor, "schema/applied"))
        refuse_drift(applied, texts)
        for name in sorted(texts.keys() - applied.keys()):
            cursor.execute(texts[name])
            enter(cursor, name, texts[name])
            return name
    return None


def read_texts() -> dict[str, bytes]:
    """Return the text of each migration, by id."""
    return {path.stem: path.read_bytes() for path in FOLDER.glob("*.sql")}


def begin_record(cursor: cursor, texts: dict[str, bytes]) -> None:
    """Make the table of applied migrations if it is not there. What yoyo had applied is taken in with today's hashes."""
    has_record, has_yoyo = one(cursor, "schema/records")
    if has_record:
        return
    cursor.execute("show server_encoding")
    (encoding,) = cursor.fetchall()[0]
    if encoding != "UTF8":
        raise StageError(Status.POSTGRES, f"the database's encoding is {encoding}, not UTF8.", "create it with encoding 'UTF8'.")
    cursor.execute(query("schema/record"))
    for (name,) in rows(cursor, "schema/yoyo") if has_yoyo else []:
        enter(cursor, name, texts.get(name, b""))  # without a file it is refused like any unknown migration


def enter(cursor: cursor, name: str, text: bytes) -> None:
    """Enter that a migration is applied."""
    cursor.execute(query("schema/enter"), {"id": name, "sha256": sha256(text).hexdigest()})


def refuse_drift(applied: dict[str, str], texts: dict[str, bytes]) -> None:
    """Raise StageError if an applied migration is unknown here, or its file has changed since."""
    if unknown := sorted(applied.keys() - texts.keys()):
        raise StageError(
            Status.POSTGRES,
            f"this program does not know migrations that the database has: {', '.join(unknown)}.",
            "the program is older than the schema: update it with git pull and make etl-setup.",
        )
    if changed := sorted(name for name in applied if applied[name] != sha256(texts[name]).hexdigest()):
        raise StageError(
            Status.POSTGRES,
            f"a migration's file has changed since it was applied: {', '.join(changed)}.",
            f"restore it: git checkout HEAD -- {' '.join(f'sql/migrations/{name}.sql' for name in changed)}",
        )


@contextmanager
def trouble_named(cursor: cursor) -> Iterator[None]:
    """Name who holds a lock that the block waits for in vain, or which right the block lacks."""
    cursor.execute("savepoint migration")
    try:
        yield
    except LockNotAvailable as error:
        cursor.execute("rollback to savepoint migration")
        holders = "; ".join(holder for (holder,) in rows(cursor, "schema/holders"))
        raise StageError(
            Status.POSTGRES,
            f"a migration waited 10 s for a lock; in its way: {holders or 'nobody any more'}.",
            "wait for its end, or let the administrator call pg_terminate_backend; then run make postgres-setup again.",
        ) from error
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        cursor.execute("rollback to savepoint migration")
        raise (lacking(cursor) or error) from error


def lacking(cursor: cursor) -> StageError | None:
    """Return which right or schema a role lacks that shall bring the schema up to date, or None if it lacks none."""
    role, schema, may_create, owner = one(cursor, "schema/rights")
    if owner:
        return StageError(
            Status.POSTGRES, f"the tables belong to {owner}; {role} may not change them.", f"run make postgres-setup as {owner}."
        )
    if not schema:
        return StageError(
            Status.POSTGRES,
            f"the search_path of {role} names no schema that is there.",
            f"alter role {role} set search_path = public;",
        )
    if not may_create:
        return StageError(
            Status.POSTGRES,
            f"this role may not create tables in schema {schema}.",
            f"grant create on schema {schema} to {role};",
        )
    return None

"""The schema: bring it up to date by the migrations in sql/migrations."""

from urllib.parse import urlencode

from psycopg2.extensions import parse_dsn
from yoyo import get_backend, read_migrations

from base.settings import ROOT, DatabaseSettings
from base.trouble import StageError, Status
from postgres.database import Database, dsn
from postgres.statements import query


def migrate(settings: DatabaseSettings) -> list[str]:
    """Apply what is missing, in order, each migration in a transaction, and return its ids. Safe to repeat."""
    database = Database(settings)
    with database.transaction() as cursor:
        cursor.execute(query("schema/lock"))
        cursor.execute("show server_encoding")
        if (encoding := cursor.fetchone()) != ("UTF8",):
            raise StageError(
                Status.POSTGRES, f"the database's encoding is {encoding}, not UTF8.", "create it with encoding 'UTF8'."
            )
        # yoyo's own lock outlives a killed process; under ours it can only be such a leftover.
        parameters = cursor.connection.get_dsn_parameters() | parse_dsn(dsn(settings))  # with what PG* say
        backend = get_backend("postgresql:///?" + urlencode(parameters))
        backend.break_lock()
        with backend.lock():
            pending = backend.to_apply(read_migrations(str(ROOT / "sql" / "migrations")))
            backend.apply_migrations(pending)
    database.close()
    return [migration.id for migration in pending]

"""Postgres: the one door to the database."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg2
from psycopg2 import errorcodes
from psycopg2.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedTable,
)
from psycopg2.extensions import connection, cursor, make_dsn, parse_dsn

from base.settings import ROOT, DatabaseSettings
from base.time_limit import watchdog
from base.trouble import StageError, Status
from base.waiting import Outage, retrying

# A dead network path is noticed within a minute, not after the kernel's two hours.
DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "visitas-etl",
}
# The server notices within seconds that a killed run is gone, and nobody waits for a lock for ever.
SESSION = "set datestyle = 'ISO'; set client_connection_check_interval = '10s'; set lock_timeout = '60s'"
SETUP_LIMIT = 30  # seconds after the login, where connect_timeout ends; a pooler may have let us in without a server to give
TRANSACTION_LIMIT = 3600  # seconds; a transaction that takes longer hangs
# libpq gives no SQLSTATE for a refused connection; these parts of its sentence name what waiting cannot mend.
LASTING = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "does not support SSL",
    "certificate",
)
LASTING_CLASSES = (errorcodes.CLASS_INSUFFICIENT_RESOURCES, errorcodes.CLASS_OPERATOR_INTERVENTION)
PASSING_CODES = (
    errorcodes.TOO_MANY_CONNECTIONS,
    errorcodes.ADMIN_SHUTDOWN,
    errorcodes.CRASH_SHUTDOWN,
    errorcodes.CANNOT_CONNECT_NOW,
)


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Database:
    """A connection that is made when it is first needed, and made anew after it was lost.

    A transaction that takes longer than ``limit`` seconds (TRANSACTION_LIMIT) is cut off.
    """

    def __init__(self, settings: DatabaseSettings, limit: float | None = None) -> None:
        self._settings = settings
        self._limit = limit or TRANSACTION_LIMIT
        self._connection: connection | None = None

    def run(
        self, work: Callable[Concatenate[cursor, Arguments], Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Return what ``work`` gives in a transaction of its own, done anew after an outage."""

        def once() -> Result:
            with self.transaction() as cursor:
                return work(cursor, *args, **kwargs)

        return retrying(self._settings.retry_seconds)(once)

    @contextmanager
    def transaction(self) -> Iterator[cursor]:
        """Commit what the block did, or nothing. Raise Outage or StageError for what Postgres could not do."""
        with self._connected() as link, link, link.cursor() as cursor:
            yield cursor

    def command(self, statement: str) -> None:
        """Run a statement that Postgres does not allow in a transaction."""
        with self._connected() as link, link.cursor() as cursor:
            link.autocommit = True
            cursor.execute(statement)
            link.autocommit = False

    @contextmanager
    def _connected(self) -> Iterator[connection]:
        """Give the connection, for so many seconds at the most; name the trouble behind psycopg2's errors."""
        try:
            link = self._connection or self._connect()
            with watchdog(self._limit, self._cut):
                yield link
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            self.close()
            raise diagnose(error) from error
        except (UndefinedTable, UndefinedColumn, UndefinedFunction, InvalidSchemaName) as error:
            raise StageError(
                Status.POSTGRES, f"the database lacks the schema: {sentence(error)}.", "run make postgres-setup."
            ) from error
        except (InsufficientPrivilege, ReadOnlySqlTransaction) as error:
            raise StageError(
                Status.POSTGRES, f"Postgres does not allow this: {sentence(error)}.", "is it the right database and user?"
            ) from error
        except psycopg2.Error as error:
            raise StageError(Status.POSTGRES, f"Postgres refuses: {sentence(error)}.", "see its log.") from error
        except SystemError as error:  # psycopg2 wraps the loss of a connection in mid-COPY like this
            if not isinstance(error.__cause__, psycopg2.Error):
                raise
            self.close()
            raise diagnose(error.__cause__) from error

    def _connect(self) -> connection:
        """Make the connection and set it up for this program."""
        self._connection = link = psycopg2.connect(dsn(self._settings), client_encoding="UTF8", connection_factory=Link)
        try:
            with watchdog(SETUP_LIMIT, self._cut), link, link.cursor() as cursor:
                cursor.execute(SESSION)
        except BaseException:
            self.close()
            raise
        return link

    def _cut(self) -> None:
        """Break the connection under a hanging call; psycopg2 itself cannot be interrupted."""
        if self._connection is not None:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back; the next transaction makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@lru_cache
def query(name: str) -> str:
    """Return the statement in ``sql/<name>.sql``."""
    return (ROOT / "sql" / f"{name}.sql").read_text()


def rows(cursor: cursor, statement: str, values: dict[str, Any] | None = None) -> list[Any]:
    """Run ``sql/<statement>.sql`` and return its rows."""
    cursor.execute(query(statement), values)
    return cursor.fetchall()


def one(cursor: cursor, statement: str, values: dict[str, Any] | None = None) -> Any:
    """Run ``sql/<statement>.sql`` and return its one row."""
    cursor.execute(query(statement), values)
    return cursor.fetchone()


class Link(connection):
    """A connection that remembers how to run the statements that it has planned."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.planned: dict[str, str] = {}


def prepare_once(cursor: cursor, name: str) -> str:
    """Return what does the same as ``query``, for a statement of every file: the connection plans it once.

    Planning costs more than the rows of a small file.
    """
    link = cursor.connection
    assert isinstance(link, Link)
    if name not in link.planned:
        plan = name.replace("/", "_")
        parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", query(name)))
        numbered = {parameter: f"${number}" for number, parameter in enumerate(parameters, 1)}
        cursor.execute(f"prepare {plan} as {query(name) % numbered}")
        link.planned[name] = f"execute {plan} ({', '.join(f'%({parameter})s' for parameter in parameters)});"
    return link.planned[name]


def dsn(settings: DatabaseSettings) -> str:
    """Return DATABASE_URL with our time limits added where it sets none of its own."""
    given: dict[str, Any] = parse_dsn(settings.database_url.get_secret_value())
    return make_dsn(**(DEFAULTS | given))


def diagnose(error: psycopg2.Error) -> StageError:
    """Return the trouble behind a lost or refused connection: an Outage if waiting may mend it."""
    said = sentence(error)
    code = error.pgcode or ""
    lasting = (code[:2] in LASTING_CLASSES and code not in PASSING_CODES) or any(part in said for part in LASTING)
    if lasting:
        return StageError(Status.POSTGRES, f"Postgres refuses: {said}.", "check DATABASE_URL and the server's log.")
    return Outage(
        Status.POSTGRES, f"Postgres does not answer: {said}.", "is the server up? Nothing is lost; the next run goes on."
    )


def sentence(error: psycopg2.Error) -> str:
    """Return the first line of Postgres's message, which holds no data of the report."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__

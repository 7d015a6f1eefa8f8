"""Postgres: the one door to the database."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg2
from psycopg2.extensions import connection, cursor, make_dsn, parse_dsn

from base.settings import DatabaseSettings
from base.time_limit import watchdog
from base.trouble import StageError
from base.waiting import retrying
from postgres import session
from postgres.diagnosis import Refusals, diagnose
from postgres.statements import Link

# A dead network path is noticed within a minute, not after the kernel's two hours.
DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "visitas-etl",
}
SETUP_LIMIT = 30  # seconds after the login, where connect_timeout ends; a pooler may have let us in without a server to give
TRANSACTION_LIMIT = 3600  # seconds; a transaction that takes longer hangs
HISTORY_LIMIT = 7 * 24 * 3600  # seconds; of one that reads the whole history

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
        self._refusals = Refusals()

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
        with self._connected() as link, session.transaction(link) as cursor:
            yield cursor

    def can_connect(self) -> bool:
        """Return whether there is a connection, or one can be made now."""
        try:
            with self._connected():
                return True
        except StageError:
            return False

    def command(self, statement: str) -> None:
        """Run a statement that Postgres does not allow in a transaction."""
        with self._connected() as link, link.cursor() as cursor:
            link.autocommit = True
            try:
                cursor.execute(statement)
            finally:
                link.autocommit = False

    @contextmanager
    def _connected(self) -> Iterator[connection]:
        """Give the connection, for so many seconds at the most; name the trouble behind psycopg2's errors."""
        link = self._connection or self._connect()
        try:
            with watchdog(self._limit, self._cut):
                yield link
        except psycopg2.Error as error:
            if link.closed or isinstance(error, psycopg2.OperationalError):
                self.close()
            raise diagnose(error) from error
        except SystemError as error:  # psycopg2 wraps the loss of a connection in mid-COPY like this
            if not isinstance(error.__cause__, psycopg2.Error):
                raise
            self.close()
            raise diagnose(error.__cause__) from error

    def _connect(self) -> connection:
        """Make the connection and set it up for this program."""
        self._connection = link = self._new_link()
        try:
            with watchdog(SETUP_LIMIT, self._cut):
                session.set_up(link, self._new_link)
        except psycopg2.Error as error:
            self.close()
            raise diagnose(error) from error
        except BaseException:
            self.close()
            raise
        return link

    def _new_link(self) -> connection:
        address = dsn(self._settings)
        try:
            return psycopg2.connect(address, client_encoding="UTF8", connection_factory=Link)
        except psycopg2.OperationalError as error:
            raise self._refusals.diagnose(error, address) from error

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


def dsn(settings: DatabaseSettings) -> str:
    """Return DATABASE_URL with our time limits added where it sets none of its own."""
    given: dict[str, Any] = parse_dsn(settings.postgres_address())
    return make_dsn(**(DEFAULTS | given))

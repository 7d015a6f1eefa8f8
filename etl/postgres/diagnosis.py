"""What psycopg2's errors mean to people, and which of them may pass. A server may speak any language: its words are not read."""

import errno
import os
import re

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

from base import libpq
from base.masking import clean
from base.trouble import StageError, Status
from base.waiting import Outage

LASTING_CLASSES = (errorcodes.CLASS_INSUFFICIENT_RESOURCES, errorcodes.CLASS_OPERATOR_INTERVENTION)
LASTING_CODES = (errorcodes.PROTOCOL_VIOLATION,)
PASSING_CODES = (
    errorcodes.TOO_MANY_CONNECTIONS,
    errorcodes.ADMIN_SHUTDOWN,
    errorcodes.CRASH_SHUTDOWN,
    errorcodes.CANNOT_CONNECT_NOW,
    errorcodes.IDLE_SESSION_TIMEOUT,
)
# libpq's own words, which are English in every program that does not call setlocale, for what passes: no server at the
# address, a broken network, a server that ends or is not the one that is asked for now.
NETWORK = (
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EPIPE,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENOENT,  # there is no socket
)
PASSING = re.compile(
    f"failed: ({'|'.join(map(os.strerror, NETWORK))}|timeout expired|session is read-only|server is (not )?in hot standby mode)$"
    "|could not translate host name|server closed the connection|SSL connection has been closed|SSL SYSCALL error"
)
NOT_ALLOWED = "Postgres does not allow this"
REFUSALS: tuple[tuple[tuple[type[psycopg2.Error], ...], str, str], ...] = (  # errors, what they mean, and a hint
    (
        (UndefinedTable, UndefinedColumn, UndefinedFunction, InvalidSchemaName),
        "the database lacks the schema",
        "run make postgres-setup.",
    ),
    ((InsufficientPrivilege,), NOT_ALLOWED, "is it the right database and user? make check says what this role lacks."),
    (
        (ReadOnlySqlTransaction,),
        NOT_ALLOWED,
        "is it a standby? Or does the role or the database set default_transaction_read_only?",
    ),
)
STARTING = 1  # PQPING_REJECT: a server that starts, stops or recovers
ALIKE = 3  # refusals in the same words; more are not waited for


class Refusals:
    """The refusals of a connection, one behind the other. One that is repeated word for word does not pass."""

    def __init__(self) -> None:
        self._words = ""
        self._count = 0

    def diagnose(self, error: psycopg2.OperationalError, dsn: str) -> StageError:
        """Return the trouble of a connection that was not made: an Outage if waiting may heal it."""
        words = sentence(error)
        if PASSING.search(first_line(error)) or libpq.functions().PQping(dsn.encode()) == STARTING:
            self._count = 0
            return no_answer(words)
        self._count = self._count + 1 if words == self._words else 1
        self._words = words
        kind = StageError if self._count >= ALIKE else Outage
        return kind(Status.POSTGRES, f"Postgres refuses: {words}.", "check DATABASE_URL and the server's log.")


def diagnose(error: psycopg2.Error) -> StageError:
    """Return the trouble behind an error on a connection that was made: an Outage if waiting may heal it."""
    said, code = sentence(error), error.pgcode or ""
    for kinds, fact, hint in REFUSALS:
        if isinstance(error, kinds):
            return StageError(Status.POSTGRES, f"{fact}: {said}.", hint)
    if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return StageError(Status.POSTGRES, f"Postgres refuses: {said}.", "see its log.")
    if is_lasting(code):
        return StageError(Status.POSTGRES, f"Postgres refuses: {said}.", "check DATABASE_URL and the server's log.")
    if code:
        return Outage(Status.POSTGRES, f"Postgres breaks off: {said}.", "nothing is lost; the next run goes on.")
    return no_answer(said)


def is_lasting(code: str) -> bool:
    """Return whether an SQLSTATE says that waiting does not heal it."""
    return (code[:2] in LASTING_CLASSES and code not in PASSING_CODES) or code in LASTING_CODES


def no_answer(said: str) -> Outage:
    """Return the trouble of a server that does not answer."""
    return Outage(
        Status.POSTGRES, f"Postgres does not answer: {said}.", "is the server up? Nothing is lost; the next run goes on."
    )


def sentence(error: psycopg2.Error) -> str:
    """Return the first line of Postgres's message, clean, which holds no data of the report."""
    return clean(first_line(error)).rstrip(".") or type(error).__name__


def first_line(error: psycopg2.Error) -> str:
    """Return the first line of Postgres's message as it is, whole, without a full stop."""
    return (error.diag.message_primary or str(error)).strip().partition("\n")[0].rstrip(".")

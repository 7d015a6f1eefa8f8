"""What every connection is set to before it is used, and which servers and poolers are refused."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection, cursor, quote_ident

from base.run import RUN_ID
from base.trouble import StageError, Status
from postgres.statements import one, query, rows

OLDEST = 14  # version of PostgreSQL

sound: set[str] = set()  # addresses that this process has connected to: each connection has a session of its own


class SharedSession(StageError):
    """A pooler that keeps no session for a connection: a lock or a setting would be lost at once, or be somebody else's."""


class Schema(NamedTuple):
    """A schema that holds our tables, or the one in which new tables would be made."""

    name: str
    holds_tables: bool
    is_usable: bool
    is_open: bool  # everybody may create objects there


def set_up(link: connection, connect: Callable[[], connection]) -> None:
    """Set a new connection up for this program; ``connect`` makes another one. Raise StageError if it cannot be used."""
    version = link.server_version // 10_000
    if 0 < version < OLDEST:  # 0: a server that has not said anything yet
        raise StageError(Status.POSTGRES, f"PostgreSQL {version} is too old.", f"{OLDEST} or later is needed.")
    # Once for a process, and once for a night with its stages: it takes two connections, and a small pool has no third.
    if RUN_ID not in os.environ and link.dsn not in sound and is_pooled(link):
        refuse_shared_sessions(link, connect)
    sound.add(link.dsn)
    with transaction(link) as cursor:
        cursor.execute(query("session/settings"))
        if schema := find_schema(cursor):
            cursor.execute(query("session/schema"), {"schema": schema})
        if run_id := os.environ.get(RUN_ID):
            cursor.execute(query("ledger/run_lives"), {"id": run_id})


@contextmanager
def transaction(link: connection) -> Iterator[cursor]:
    """Commit what the block did, or nothing. The block's own error is raised, whatever the rollback meets."""
    with link.cursor() as cursor:
        try:
            yield cursor
        except BaseException:
            if not link.closed:
                roll_back(link)
            raise
        link.commit()


def roll_back(link: connection) -> None:
    """Roll back; a connection that cannot do so any more is closed."""
    try:
        link.rollback()
    except psycopg2.Error:
        link.close()


def find_schema(cursor: cursor) -> str | None:
    """Return the schema that holds our tables, wherever it is, else the one for new tables, if there is one.

    Raise StageError if two schemas hold our tables, or if everybody may create objects in the schema: a function that
    somebody puts there could be taken for one of ours.
    """
    found = [Schema(*row) for row in rows(cursor, "session/schemas")]
    ours = [schema for schema in found if schema.holds_tables]
    ours = [schema for schema in ours if schema.is_usable] or ours
    if len(ours) > 1:
        names = " and ".join(schema.name for schema in ours)
        raise StageError(
            Status.POSTGRES,
            f"there are two sets of tables, in the schemas {names}.",
            "keep one: revoke usage on the other schema from this role, or rename the other's tables.",
        )
    for schema in ours or found:
        if not schema.is_usable:
            raise StageError(
                Status.POSTGRES,
                f"this role may not use schema {schema.name}, which holds the tables.",
                f"grant usage on schema {quote_ident(schema.name, cursor)} to {quote_ident(user_of(cursor), cursor)};",
            )
        if schema.is_open:
            raise StageError(
                Status.POSTGRES,
                f"everybody may create objects in schema {schema.name}: the tables are not safe there.",
                f"let the owner run: revoke create on schema {quote_ident(schema.name, cursor)} from public;",
            )
        return schema.name
    return None


def user_of(cursor: cursor) -> str:
    """Return the role of the session."""
    _, user = one(cursor, "session/user")
    return str(user)


def is_pooled(link: connection) -> bool:
    """Return whether a pooler stands between: it makes up the process id that it gives to a client."""
    link.autocommit = True
    with link.cursor() as cursor:
        process = process_of(cursor)
    link.autocommit = False
    return process != link.get_backend_pid()


def refuse_shared_sessions(link: connection, connect: Callable[[], connection]) -> None:
    """Raise SharedSession if the pooler gives each transaction another server session.

    A transaction on a second connection shows it: it takes over the session of the first connection, which is free between
    two transactions, and the first connection gets another.
    """
    try:
        before = process_now(link)
    except psycopg2.OperationalError as error:  # it allows no transactions, and hangs up
        raise shared("statement") from error
    with closing(connect()) as other, transaction(other) as cursor:
        others = process_of(cursor)
        after = process_now(link)
    if before != after or before == others:
        raise shared("transaction")


def process_now(link: connection) -> int:
    """Return the server process of a transaction on this connection."""
    with transaction(link) as cursor:
        return process_of(cursor)


def process_of(cursor: cursor) -> int:
    """Return the server process that runs the cursor's statements."""
    (process,) = one(cursor, "session/process")
    return int(process)


def shared(mode: str) -> SharedSession:
    """Return the trouble of a pooler in this mode."""
    return SharedSession(
        Status.POSTGRES,
        f"DATABASE_URL leads to a pooler in {mode} mode, which keeps no session.",
        "connect to Postgres itself, or set the pooler to pool_mode=session for this user.",
    )

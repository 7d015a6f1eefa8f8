"""What waiting cannot heal is told from what it can, in any language; of a transaction the first error is told."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from base.settings import DatabaseSettings
from base.trouble import StageError
from base.waiting import Outage
from kit.night import Night
from kit.quirky_postgres import answering, message, refusal, welcome
from kit.samples import line, report
from kit.servers import Postgres, execute, wait_for
from postgres import database
from postgres.database import Database

SOON = 8  # RETRY_SECONDS of these tests: three tries take about two seconds
LASTING = [  # severity, SQLSTATE and words of a refusal that no waiting heals
    ("FATAL", "28P01", "la autentificación password falló para el usuario «etl»"),
    ("FATAL", "28000", "pg_hba.conf rechaza la conexión: host «10.0.0.5», usuario «etl», base de datos «x»"),
    ("FATAL", "28000", 'пользователю "etl" не разрешён вход'),  # NOLOGIN
    ("致命的エラー", "3D000", 'データベース"x"は存在しません'),
    ("FATAL", "42501", 'permission denied for database "x"'),  # no CONNECT
    ("FATAL", "53300", "demasiadas conexiones para el rol «etl»"),  # CONNECTION LIMIT
    ("FATAL", "08P01", "no such database: x"),  # pgbouncer's
    ("FATAL", "XX000", "Tenant or user not found"),  # a hosted pooler's
]


def reach(address: str, seconds: float = SOON) -> Exception:
    """Try to reach a server as the night does and return what stopped it."""
    link = Database(DatabaseSettings(database_url=address, retry_seconds=seconds))
    with pytest.raises(StageError) as caught:
        link.run(lambda cursor: cursor.execute("select 1"))
    link.close()
    return caught.value


@pytest.mark.parametrize(("severity", "code", "words"), LASTING)
def test_a_refusal_that_is_repeated_is_not_waited_for(severity: str, code: str, words: str) -> None:
    with answering(refusal(severity, code, words)) as (address, clients):
        error = reach(address, 600)
    assert type(error) is StageError
    assert words in str(error)
    assert str(error).startswith("Postgres refuses: ")
    assert len(clients) <= 6  # three tries; each is followed by the question whether the server is starting


@pytest.mark.parametrize("words", ["el sistema de base de datos está iniciándose", "the database system is shutting down"])
def test_a_server_that_starts_or_stops_is_waited_for(words: str) -> None:
    with answering(refusal("FATAL", "57P03", words)) as (address, clients):
        error = reach(address)
    assert type(error) is Outage
    assert words in str(error)
    assert len(clients) > 6


def no_server() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"postgresql://127.0.0.1:{port}/x"


@pytest.mark.parametrize("address", [no_server, lambda: "postgresql:///x?host=/nowhere"])
def test_no_server_is_waited_for(address: Callable[[], str]) -> None:
    began = time.monotonic()
    error = reach(address(), 3)
    assert type(error) is Outage
    assert str(error).startswith("Postgres does not answer: ")
    assert time.monotonic() - began > 0.5


def test_a_server_that_hangs_up_is_waited_for() -> None:
    with answering(b"") as (address, clients):
        error = reach(address)
    assert type(error) is Outage
    assert "server closed the connection unexpectedly" in str(error)
    assert len(clients) > 3


def test_what_is_wrong_on_our_side_is_not_waited_for(tmp_path: Path) -> None:
    """libpq refuses before it asks a server: a certificate that is missing, a key that others can read."""
    (key := tmp_path / "key").write_text("x")
    key.chmod(0o644)
    (certificate := tmp_path / "certificate").write_text("x")
    for answer, options, said in (
        (b"N", "sslmode=require", "server does not support SSL"),
        (b"S", f"sslmode=verify-full&sslrootcert={tmp_path}/none", "root certificate file"),
        (b"S", f"sslmode=require&sslcert={certificate}&sslkey={key}", "could not read certificate file"),
    ):
        with answering(answer) as (address, _):
            error = reach(f"{address.partition('?')[0]}?{options}", 600)
        assert type(error) is StageError
        assert said in str(error)


def test_a_night_does_not_wait_for_a_wrong_password(night: Night) -> None:
    night.deliver("report_1.txt", report(line()))
    began = time.monotonic()
    with answering(refusal("FATAL", "28P01", "la autentificación falló")) as (address, _):
        done = night.run(DATABASE_URL=address, RETRY_SECONDS="600")
    assert done.returncode == 12
    assert "load: Postgres refuses:" in done.stderr
    assert "la autentificación falló" in done.stderr
    assert time.monotonic() - began < 300


def test_an_old_server_is_refused_in_words() -> None:
    with answering(welcome(server_version="13.16"), stays=True) as (address, _):
        error = reach(address, 600)
    assert str(error) == "PostgreSQL 13 is too old. Hint: 14 or later is needed."


def test_a_pooler_that_lets_us_in_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooler does this when it has no connection left."""
    monkeypatch.setattr(database, "SETUP_LIMIT", 0.5)
    with answering(welcome(), stays=True) as (address, _):
        error = reach(address, 0)
    assert type(error) is Outage
    assert "does not answer" in str(error)


# The first error of a transaction.


def test_the_words_of_a_killed_connection(postgres: Postgres, database: str) -> None:
    link = Database(DatabaseSettings(database_url=database, retry_seconds=0))

    def kill(process: int) -> None:
        wait_for(
            lambda: execute(postgres.url, "select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'", process)
        )
        execute(postgres.url, "select pg_terminate_backend(%s)", process)

    # libpq keeps the last of two messages; the one before says: terminating connection due to administrator command.
    with pytest.raises(Outage, match="server closed the connection unexpectedly"), link.transaction() as cursor:
        cursor.execute("select pg_backend_pid()")
        Thread(target=kill, args=cursor.fetchone()).start()
        cursor.execute("select pg_sleep(60)")


def test_the_words_of_what_a_statement_met_when_the_connection_ends_with_it(database: str) -> None:
    link = Database(DatabaseSettings(database_url=database, retry_seconds=0))
    with pytest.raises(StageError, match="division by zero"), link.transaction() as cursor:
        try:
            cursor.execute("select 1 / 0")
        finally:
            cursor.connection.close()
    with link.transaction() as cursor:  # and the next transaction has a new connection
        cursor.execute("select 1")


def test_a_lock_that_is_not_given_is_told_as_what_it_is(database: str) -> None:
    holder = Database(DatabaseSettings(database_url=database))
    link = Database(DatabaseSettings(database_url=database, retry_seconds=0))
    with holder.transaction() as other:
        other.execute("lock table visitor")
        said = "Postgres breaks off: canceling statement due to lock timeout"
        with pytest.raises(Outage, match=said), link.transaction() as cursor:
            cursor.execute("set local lock_timeout = '50ms'; lock table visitor")
    holder.close()
    link.close()


def test_a_question_in_the_middle_of_another_protocol() -> None:
    with answering(message(b"!", b"what is this")) as (address, _):
        error = reach(address, 0)
    assert isinstance(error, StageError)

"""The history of Postgres moves into the lake, and nights go on there; maintenance leaves every row as it is."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date

import pytest

from base.run import Run
from base.trouble import StageError, Status
from kit.lake import LakeNights, Stopped, marks, need_spark, stop_after
from kit.quick_nights import QuickNights
from kit.samples import line, report
from kit.servers import Postgres
from postgres.database import Database

pytestmark = marks("lake_kills")
TABLES = {"statistics": "file_id, line_number", "errors": "file_id, line_number", "visitor": "email"}
DAY = date(2013, 2, 15)


@pytest.fixture
def both(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[tuple[QuickNights, LakeNights]]:
    """Nights into Postgres, and nights into a lake, with the same load log."""
    need_spark()
    database = postgres.create("moving")
    old, new = QuickNights(tmp_path_factory.mktemp("old"), database), LakeNights(tmp_path_factory.mktemp("new"), database)
    new.runs = 100  # their ids differ
    yield old, new
    postgres.drop("moving")


def move_in(lake: LakeNights) -> dict[str, int]:
    from spark.history import move_in as move  # noqa: PLC0415 - of make lake-setup

    lake.name_lake()
    with closing(Database(lake.settings())) as database:
        return move(database, lake.next_run(), lake.settings())


def test_history_moves_in_and_small_files_are_joined(both: tuple[QuickNights, LakeNights]) -> None:
    old, lake = both
    with pytest.raises(StageError, match="no history yet"):
        move_in(lake)
    odd = line("ñandú@example.com", envio="01/01/0001 00:00").replace(b",,,,", b',"x ""y"", z",NA,null,')
    old.load([report(line(), odd, b'x\ry,"\n'), report(line(opened="09/02/2013 10:00"), b"\n", b"\xff\n")], DAY, "envio")
    old.load([b"no report\n", report(b"x\n", line())], DAY, "envio", 0.3)
    before = {table: old.sql(f"select * from {table} order by {key}") for table, key in TABLES.items()}
    with pytest.raises(StageError, match="the history is in Postgres") as caught:
        lake.load([], DAY, "envio")
    assert caught.value.status is Status.SETTINGS

    assert_a_wrong_import_is_refused(old, lake)
    assert move_in(lake) == {table: len(rows) for table, rows in before.items()}
    assert {table: lake.read(table) for table in TABLES} == before
    with pytest.raises(StageError, match="in the lake already"):
        move_in(lake)

    for number in range(6):
        lake.load([report(line(f"new{number}@example.com"), b"x\n")], DAY, "envio")
    assert lake.sql("select count(*) from lake_night where published_at is not null") == [(7,)]
    assert_maintained(lake)


def assert_a_wrong_import_is_refused(old: QuickNights, lake: LakeNights) -> None:
    """Assert that a visitor or a line that the load log does not know keeps the history in Postgres."""
    old.sql("update visitor set visitas_totales = visitas_totales + 1 where email = 'ana@example.com'")
    with pytest.raises(StageError, match="so nothing was moved"):
        move_in(lake)
    old.sql("update visitor set visitas_totales = visitas_totales - 1 where email = 'ana@example.com'")
    assert lake.sql("select count(*) from lake_night") == [(0,)]
    assert lake.read("statistics") == []


STEPS = {  # after which call of what an import is stopped: place, number of the call
    "statistics landed": ("spark.history:land", 1),
    "errors landed": ("spark.history:land", 2),
    "statistics written": ("spark.tables:Branch.append", 1),
    "errors written": ("spark.tables:Branch.append", 2),
    "visitor written": ("spark.tables:Branch.replace", 1),
    "compared": ("spark.history:compare", 1),
    "decided": ("postgres.decision:decide_branch", 1),
    "statistics published": ("spark.tables:publish_table", 1),
    "visitor published": ("spark.tables:publish_table", 3),
}


def test_an_import_that_is_stopped_anywhere_is_finished_by_the_next(both: tuple[QuickNights, LakeNights]) -> None:
    old, lake = both
    old.load([report(line(), line("bea@example.com"), b"x\n")], DAY, "envio")
    before = {table: old.sql(f"select * from {table} order by {key}") for table, key in TABLES.items()}
    for step, place in STEPS.items():
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
            stop_after(patch, *place)
            move_in(lake)
        assert move_in(lake) == {table: len(rows) for table, rows in before.items()}, step
        assert {table: lake.read(table) for table in TABLES} == before, step
        assert [lake.branches(table) for table in TABLES] == [["main"]] * 3, step
        assert lake.sql("select count(*), count(published_at) from lake_night") == [(1, 1)], step
        lake.begin_anew()


def assert_maintained(lake: LakeNights) -> None:
    from spark.exactly_once import Lake  # noqa: PLC0415 - of make lake-setup
    from spark.maintenance import maintain  # noqa: PLC0415

    before = {table: lake.read(table) for table in TABLES}
    with closing(Database(lake.settings())) as database, closing(Lake(database, Run("x", "x"), lake.settings())) as opened:
        counts = maintain(opened.session)
    assert counts["statistics"] == (7, 1)
    assert counts["errors"] == (7, 1)
    assert {table: lake.read(table) for table in TABLES} == before

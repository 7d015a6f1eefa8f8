"""A night is killed at every step, or its branch is altered: readers see a night whole or not at all, and no night twice."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from base.trouble import StageError, Status
from kit.lake import LakeNights, both_engines, marks
from kit.quick_nights import QuickNights
from kit.samples import line, report
from kit.servers import Postgres

pytestmark = marks("lake_kills")

STEPS = {  # after which call of what the night is killed: module, name, and the number of the call
    "parsed": ("spark.night:Night.count", 1),
    "statistics written": ("spark.tables:Branch.append", 1),
    "errors written": ("spark.tables:Branch.append", 2),
    "visitor written": ("spark.tables:Branch.replace", 1),
    "audited": ("spark.night:Night.audit", 1),
    "decided": ("postgres.decision:decide", 1),
    "statistics published": ("spark.tables:publish_table", 1),
    "errors published": ("spark.tables:publish_table", 2),
    "visitor published": ("spark.tables:publish_table", 3),
    "entered as published": ("postgres.decision:set_published", 1),
    "a branch dropped": ("spark.tables:drop_branch", 1),
}
DECIDED = [*STEPS][[*STEPS].index("decided") :]
BY_NAME = {  # in DuckDB and in Postgres, but for ids
    "statistics": "line_number, email, fecha_envio",
    "errors": "line_number, message, raw_line",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[tuple[QuickNights, LakeNights]]:
    yield from both_engines(tmp_path_factory, postgres, "once")


def files_of(night: int) -> list[bytes]:
    return [
        report(line("ana@example.com"), line(f"new{night}@example.com"), b"x\n"),
        report(line(f"new{night}@example.com"), line(f"other{night}@example.com")),
    ]


def seen(nights: LakeNights) -> list[list[tuple[Any, ...]]]:
    """Return what readers see."""
    return [nights.read(table) for table in ("statistics", "errors", "visitor")]


def assert_same(by_postgres: QuickNights, by_spark: LakeNights) -> None:
    """Assert that both engines have the same rows. File ids differ: a night that is killed leaves a gap."""
    assert by_spark.read("visitor") == by_postgres.sql("select * from visitor order by email")
    ids = [
        {
            file_id: order
            for order, (file_id,) in enumerate(nights.sql("select id from load_file where status = 'loaded' order by id"))
        }
        for nights in (by_postgres, by_spark)
    ]
    for table, columns in BY_NAME.items():
        rows = (
            by_postgres.sql(f"select file_id, {columns} from {table} order by 1, 2"),
            by_spark.read(table, f"file_id, {columns}"),
        )
        first, second = ([(of[file_id], *values) for file_id, *values in found] for of, found in zip(ids, rows, strict=True))
        assert first == second


def test_a_night_that_is_killed_anywhere_is_finished_by_the_next(both: tuple[QuickNights, LakeNights]) -> None:
    by_postgres, by_spark = both
    for nights in both:
        nights.load(files_of(99), date(2013, 2, 15), "envio")
    for number, (step, place) in enumerate(STEPS.items()):
        before, decided = seen(by_spark), by_spark.sql("select count(*) from load_file")
        by_postgres.load(files_of(number), date(2013, 2, 15), "envio")
        by_spark.kill(files_of(number), date(2013, 2, 15), *place)
        if step not in DECIDED:
            assert seen(by_spark) == before, step
            assert by_spark.sql("select count(*) from load_file") == decided, step
        by_spark.files -= 2
        by_spark.load(files_of(number), date(2013, 2, 15), "envio")
        assert_same(by_postgres, by_spark)
        assert by_spark.sql("select count(*) from lake_night where published_at is null") == [(0,)], step
        if step not in ("entered as published", "a branch dropped"):  # then the next night has nothing to do for Spark
            assert [by_spark.branches(table) for table in ("statistics", "errors", "visitor")] == [["main"]] * 3, step


B = "lake.visitas.{0}.`branch_night_20130215T000200Z-{1}`"
ALTERED = {  # what somebody does to the branch between writing and audit
    "a line lost": f"delete from {B.format('statistics', '{0}')} where email = 'ana@example.com' and file_id > {{1}}",
    "an old line lost": f"delete from {B.format('statistics', '{0}')} where email = 'ana@example.com' and file_id <= {{1}}",
    "an old line altered": f"update {B.format('statistics', '{0}')} set jyv = 'x' where file_id <= {{1}}",
    "an old line doubled": f"insert into {B.format('statistics', '{0}')}"
    f" select * from {B.format('statistics', '{0}')} where file_id <= {{1}} limit 1",
    "a line doubled": f"insert into {B.format('statistics', '{0}')} select * from {B.format('statistics', '{0}')} limit 1",
    "a line altered": f"update {B.format('statistics', '{0}')} set jyv = baja, baja = 'x' where file_id > {{1}}",
    "an error altered": f"update {B.format('errors', '{0}')} set codes = array('encoding') where file_id > {{1}}",
    "a visitor altered": f"update {B.format('visitor', '{0}')} set visitas_totales = visitas_totales + 1",
}


@pytest.mark.parametrize("statement", ALTERED.values(), ids=ALTERED)
def test_an_altered_branch_stops_the_night(both: tuple[QuickNights, LakeNights], statement: str) -> None:
    """Nothing is decided. The next night drops the branch and loads the file."""
    _, by_spark = both
    by_spark.load(files_of(98), date(2013, 2, 15), "envio")
    before, decided = seen(by_spark), by_spark.sql("select count(*), max(id) from load_file")
    files = [report(line("ana@example.com"), line("bea@example.com"), b"x\n", b"y\n")]
    altered = statement.format(by_spark.runs + 1, decided[0][1])
    ended = load_disturbed(by_spark, files, lambda spark: spark.sql(altered))
    assert ended.status is Status.CLUSTER
    assert by_spark.sql("select count(*), max(id) from load_file") == decided
    assert seen(by_spark) == before


SAME_BYTES = """
insert into load_file
select (jsonb_populate_record(f, jsonb_build_object('id', -1, 'sha256', %s, 'rows_read', 0, 'rows_loaded', 0,
                                                    'rows_rejected', 0))).*
from load_file f where status = 'loaded' order by id limit 1
"""
ONE_MORE = "rows_loaded = rows_loaded + 1, rows_read = rows_read + 1"
COMPACTED = "call lake.system.rewrite_data_files(table => 'visitas.statistics', options => map('rewrite-all', 'true'))"


def load_disturbed(by_spark: LakeNights, files: list[bytes], disturb: Callable[[Any], object]) -> StageError:
    """Bring the files into the lake; disturb the night before it is audited. Return how it ended; readers see nothing of it."""
    from spark.night import Night  # noqa: PLC0415 - of make lake-setup

    audit = Night.audit

    def disturbed(night: Night) -> None:
        disturb(night._session)
        audit(night)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StageError, match="so nothing was loaded") as caught:
        patch.setattr(Night, "audit", disturbed)
        by_spark.load(files, date(2013, 2, 15), "envio")
    return caught.value


def test_what_others_do_meanwhile(both: tuple[QuickNights, LakeNights]) -> None:
    """Another run has loaded the same bytes; somebody writes to the tables; the lake is of another load log."""
    _, by_spark = both
    by_spark.load(files_of(96), date(2013, 2, 15), "envio")
    files = files_of(97)
    before, decided = seen(by_spark), by_spark.sql("select count(*) from lake_night")
    sha256 = hashlib.sha256(files[0]).hexdigest()
    ended = load_disturbed(by_spark, files, lambda _: by_spark.sql(SAME_BYTES, sha256))
    assert (ended.status, "another run" in str(ended)) == (Status.LOCKED, True)
    by_spark.sql("delete from load_file where id = -1")
    ended = load_disturbed(by_spark, files, lambda spark: spark.sql(COMPACTED))
    assert (ended.status, "somebody else has changed the table statistics" in str(ended)) == (Status.CLUSTER, True)
    by_spark.sql(f"update load_file set {ONE_MORE} where id = (select min(id) from load_file)")
    ended = load_disturbed(by_spark, files, lambda _: None)
    assert (ended.status, "the load log counts" in str(ended)) == (Status.CLUSTER, True)
    by_spark.sql(f"update load_file set {ONE_MORE.replace('+', '-')} where id = (select min(id) from load_file)")
    assert (seen(by_spark), by_spark.sql("select count(*) from lake_night")) == (before, decided)
    by_spark.load(files, date(2013, 2, 15), "envio")
    assert by_spark.sql("select count(*) from lake_night") == [(decided[0][0] + 1,)]

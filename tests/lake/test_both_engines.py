"""Nights of both engines give the same rows; those of the lake are read by an engine that wrote neither."""

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from dateutil.relativedelta import relativedelta

from kit.lake import LakeNights, both_engines, marks
from kit.quick_nights import QuickNights
from kit.samples import line, report
from kit.servers import Postgres

pytestmark = marks("lake")

LOG = {
    "load_file": "id, name, sha256, bytes, status, name_reused, rows_read, rows_loaded, rows_rejected",
    # Postgres loads files side by side: which of two files brings a new visitor is chance.
    "(select run_id, sum(visitors_new) as new, sum(visitors_updated) as old from load_file group by run_id) as run": "*",
    "load_campaign": "send_date, file_id, sent, hard_bounces, opened, clicked, opened_and_clicked, unsubscribed",
    "load_reject": "file_id, code, lines",
    "visitor_basis": "as_of, visit_event",
}
MONTH = date(2013, 2, 1)  # of the runs
TABLES = {"statistics": "file_id, line_number", "errors": "file_id, line_number", "visitor": "email"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[tuple[QuickNights, LakeNights]]:
    yield from both_engines(tmp_path_factory, postgres, "both")


NASTY = report(
    line("José@example.com"),
    line("JOSE@EXAMPLE.COM", opened="09/02/2013 10:00"),
    b'"a@example.com","x ""y"", z",HARD,SI,01/01/0001 00:00,31/12/9999 23:59,0,2147483647,-,007,-,"0",NA,"null,,",\xe2\x80\xa8\n',
    b"no line\n",
    b"\xff\n",
    b" \t\n",
    b"\n",
    line("bea@example.com", envio="31/02/2013 10:00", opened="x"),
    b"x" * ((1 << 20) + 1) + b"\n",
    line("a\x00b@example.com"),
    line("hard@example.com", opened="09/02/2013 10:00", clicked="09/02/2013 10:00").replace(b",,,,", b",,HARD,SI,"),
    line("baja@example.com", opened="09/02/2013 10:00", clicked="09/02/2013 10:00").replace(b",,,,", b",,,SI,"),
    line("last@example.com").rstrip(),
)
NIGHTS: list[tuple[list[bytes], date, str, float]] = [
    ([report(line("ana@example.com"), line("bea@example.com")), NASTY], date(2013, 2, 15), "envio", 1.0),
    ([NASTY, report(line("ana@example.com"), line("cid@example.com", opened="1/1/2013"))], date(2013, 2, 16), "envio", 1.0),
    ([], date(2013, 2, 17), "envio", 1.0),
    ([NASTY], date(2013, 2, 17), "envio", 1.0),
    ([], date(2013, 3, 1), "envio", 1.0),
    ([b"", b"no header\n", report(), report(line(), b"x\n"), report(line(), b"x\n")], date(2014, 1, 1), "open", 0.3),
    (
        [report(line(), b"x\n"), *[report(line("dea@example.com", clicked="09/02/2013 10:00"))] * 2],
        date(2013, 2, 28),
        "click",
        0.5,
    ),
    ([], date(2013, 2, 28), "envio", 1.0),
]


SCREENS = {  # what mails and pages ask the load log, beside its tables
    "notices/digest_rejects": [{"run_id": f"20130215T000200Z-{number}"} for number in range(1, 20)],
    "commands/monthly_rejects": [{"first": MONTH, "end": MONTH + relativedelta(months=1)}],
    "commands/monthly_reports": [{"first": MONTH, "end": MONTH + relativedelta(months=1)}],
}


def rows_of(nights: QuickNights) -> dict[str, list[tuple[object, ...]]]:
    """Return what a night leaves in Postgres, by table."""
    return {table: nights.sql(f"select {columns} from {table} order by 1, 2") for table, columns in LOG.items()}


def assert_same(by_postgres: QuickNights, by_spark: LakeNights) -> None:
    """Assert that both engines have the same rows."""
    assert rows_of(by_spark) == rows_of(by_postgres)
    for table, key in TABLES.items():
        assert by_spark.read(table) == by_postgres.sql(f"select * from {table} order by {key}"), table


def test_real_reports_give_the_same_rows(real: Path, both: tuple[QuickNights, LakeNights]) -> None:
    """In another month, with another visit event, and again."""
    reports = [path.read_bytes() for path in sorted(real.glob("report_*.txt"))]
    assert reports
    for as_of, event in ((date(2013, 2, 15), "envio"), (date(2013, 3, 1), "open"), (date(2014, 2, 15), "click")):
        for nights in both:
            nights.load(reports, as_of, event)
        assert_same(*both)


def test_erased_lines_are_passed_over(both: tuple[QuickNights, LakeNights]) -> None:
    """Of valid lines, rejected ones, and of the line 1 that tells of a whole file."""
    erased = {
        report(line("gone@example.com"), line("here@example.com"), b"gone\n", b"x\n"): [2, 4],
        b"gone@example.com\n": [1],
        report(line("gone@example.com"), b"gone\n", b"x\n"): [2],
    }
    for nights in both:
        for content, numbers in erased.items():
            for number in numbers:
                sha256 = hashlib.sha256(content).hexdigest()
                nights.sql("insert into load_erased (sha256, line_number) values (%s, %s)", sha256, number)
        nights.load(list(erased), date(2013, 2, 15), "envio", 0.9)
    assert both[0].sql("select status from load_file order by id desc limit 3") == [("quarantined",), ("refused",), ("loaded",)]
    assert_same(*both)


def test_many_nights_give_the_same_rows(both: tuple[QuickNights, LakeNights]) -> None:
    """Duplicates, copies in one night, refused and quarantined files, other months, years and visit events."""
    by_postgres, by_spark = both
    for night in NIGHTS:
        by_postgres.load(*night)
        by_spark.load(*night)
        assert_same(by_postgres, by_spark)
    for statement, all_values in SCREENS.items():
        shown = [by_postgres.ask(statement, values) for values in all_values]
        assert [by_spark.ask(statement, values) for values in all_values] == shown, statement
        assert any(shown), statement

"""Laws, checked on whatever Hypothesis thinks of."""

import random
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import psycopg2
import pytest
from conftest import HEADER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection

import ledger
from database import Database
from faults import Fault
from load import load_report, prepare
from records import Visit, check_header, parse_line
from settings import Settings
from transform import stage_report
from workdir import WorkDir

EVENTS = ("envio", "open", "click")
FIELD = st.one_of(
    st.sampled_from(["", "-", "0", "08/02/2013 18:30", "a@example.com", '"', '"a,b"', "\x00", "ñ"]), st.text(max_size=9)
)
LINE = st.one_of(
    st.binary(max_size=300), st.lists(FIELD, max_size=17).map(lambda fields: ",".join(fields).encode("utf-8", "replace"))
)


@given(LINE)
def test_parsing_never_raises(line: bytes) -> None:
    parsed = parse_line(line)
    assert isinstance(parsed, Visit) or (parsed and all(isinstance(fault, Fault) for fault in parsed))
    fault = check_header(line)
    assert fault is None or str(fault)


@given(st.datetimes(min_value=datetime(1, 1, 1)))  # noqa: DTZ001 - reports have no zone
def test_every_minute_of_the_calendar_is_read(moment: datetime) -> None:
    text = moment.strftime("%d/%m/") + f"{moment.year:04}" + moment.strftime(" %H:%M")
    parsed = parse_line(f"a@example.com,,,,{text},-,0,0,-,0,0,-,-,-,-".encode())
    assert isinstance(parsed, Visit)
    assert datetime.fromisoformat(parsed.fecha_envio) == moment.replace(second=0, microsecond=0)


DATES = st.sampled_from(
    [
        "31/12/2012 23:59",
        "01/01/2013 00:00",
        "31/01/2013 10:00",
        "01/02/2013 00:00",
        "28/02/2013 23:59",
        "01/03/2013 00:00",
        "14/02/2014 12:00",
    ]
)
OPTIONAL = st.one_of(st.just("-"), DATES)
VISITS = st.lists(st.tuples(st.sampled_from("abcdE"), DATES, OPTIONAL, OPTIONAL), max_size=25)
AS_OF = st.sampled_from([date(2012, 12, 31), date(2013, 1, 1), date(2013, 2, 15), date(2013, 3, 1), date(2014, 2, 1)])


class Loader:
    """Transform and load on a real Postgres, in this process."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database
        self.nights = 0

    def night(self, files: list[bytes], as_of: date, event: str) -> None:
        """Stage and load the files, or just let the counters move."""
        chosen = Settings(
            sftp_host="x", sftp_user="x", database_url=self.database, work_dir=self.folder, as_of=as_of, visit_event=event,
            retry_seconds=0,
        )  # fmt: skip
        work = WorkDir(chosen)
        database = Database(chosen)
        run = ledger.Run("20130215T000200Z-1", "test")
        database.run(prepare, run, chosen)
        for content in files:
            self.nights += 1
            report = work.report(f"report_{self.nights}.txt")
            report.path.write_bytes(content)
            stage_report(report, 1.0)
            manifest = report.manifest()
            assert manifest
            database.run(load_report, report, manifest, run, chosen)
            report.remove()
        database.close()

    def visitors(self) -> list[tuple[object, ...]]:
        with psycopg2.connect(self.database) as link, link.cursor() as cursor:
            cursor.execute("select * from visitor order by email")
            rows = cursor.fetchall()
        link.close()
        return rows

    def forget(self) -> None:
        link: connection = psycopg2.connect(self.database)
        with link, link.cursor() as cursor:
            cursor.execute("truncate visitor, statistics, errors, load_file, load_run, visitor_basis")
        link.close()


@pytest.fixture
def loader(tmp_path: Path, database: str) -> Iterator[Loader]:
    yield Loader(tmp_path / "work", database)


def content(visits: list[tuple[str, str, str, str]]) -> bytes:
    """A report; its second header differs from call to call, so that equal visits are not duplicates."""
    lines = [
        f"{who}@example.com,,,,{envio},{opened},0,0,{clicked},0,0,-,-,-,-\n".encode() for who, envio, opened, clicked in visits
    ]
    return HEADER.replace(b"jk", random.randbytes(8).hex().encode()) + b"".join(lines)


def counted(visits: list[tuple[str, str, str, str]], as_of: date, event: str) -> list[tuple[object, ...]]:
    """The visitors as a person would count them."""
    dates: dict[str, list[datetime]] = {}
    for who, *moments in visits:
        text = moments[EVENTS.index(event)]
        if text != "-":
            dates.setdefault(f"{who}@example.com".lower(), []).append(datetime.strptime(text, "%d/%m/%Y %H:%M"))  # noqa: DTZ007
    return [
        (
            email, min(found), max(found), len(found), sum(when.year == as_of.year for when in found),
            sum((when.year, when.month) == (as_of.year, as_of.month) for when in found),
        )
        for email, found in sorted(dates.items())
    ]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # forget() resets it
@given(
    visits=VISITS,
    as_of=st.lists(AS_OF, min_size=2, max_size=4),
    events=st.lists(st.sampled_from(EVENTS), min_size=4, max_size=4),
    data=st.data(),
)
def test_counters_equal_a_recount(
    loader: Loader, visits: list, as_of: list[date], events: list[str], data: st.DataObject
) -> None:
    """Whatever the order and the split of the files, and however as-of date and visit event move in between."""
    loader.forget()
    shuffled = data.draw(st.permutations(visits))
    for index, day in enumerate(as_of):
        part = shuffled[index :: len(as_of)]
        cut = data.draw(st.integers(0, len(part)))
        loader.night([content(part[:cut]), content(part[cut:])], day, events[index])
        seen = [visit for earlier in range(index + 1) for visit in shuffled[earlier :: len(as_of)]]
        assert loader.visitors() == counted(seen, day, events[index])
    loader.night([], as_of[0], events[0])
    assert loader.visitors() == counted(visits, as_of[0], events[0])

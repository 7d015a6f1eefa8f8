"""Laws, checked on examples that Hypothesis invents."""

import io
import random
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kit.quick_nights import QuickNights
from kit.samples import HEADER
from parsing.columns import Visit, check_header, is_record, parse_line
from parsing.faults import Fault, storable
from parsing.lines import read_lines

EVENTS = ("envio", "open", "click")


def join_fields(fields: tuple[str, ...]) -> bytes:
    return ",".join(fields).encode("utf-8", "replace")


FIELD = st.one_of(
    st.sampled_from(["", "-", "0", "08/02/2013 18:30", "a@example.com", '"', '"a,b"', "\x00", "ñ"]), st.text(max_size=9)
)
ADDRESS = st.one_of(FIELD, st.emails(), st.builds("{}@{}".format, st.text(max_size=9), st.text(max_size=9)))
MOMENT = st.one_of(FIELD, st.from_regex(r"[0-3][0-9]/[01][0-9]/[0-9]{4} [0-2][0-9]:[0-6][0-9]"))
NUMBER = st.one_of(FIELD, st.from_regex(r"[0-9]{1,12}"))
FIFTEEN = st.tuples(
    ADDRESS, FIELD, FIELD, FIELD, MOMENT, MOMENT, NUMBER, NUMBER, MOMENT, NUMBER, NUMBER, FIELD, FIELD, FIELD, FIELD
)  # fmt: skip
LINE = st.one_of(
    st.binary(max_size=300), FIFTEEN.map(join_fields), st.lists(FIELD, max_size=17).map(lambda fields: join_fields(tuple(fields)))
)


@given(LINE)
def test_parsing_never_raises(line: bytes) -> None:
    parsed = parse_line(line)
    assert isinstance(parsed, Visit) or (parsed and all(isinstance(fault, Fault) for fault in parsed))
    fault = check_header(line)
    assert fault is None or str(fault)


@given(st.datetimes(min_value=datetime(1, 1, 1)))  # noqa: DTZ001 - a report names no time zone
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


@pytest.fixture
def nights(tmp_path: Path, database: str) -> QuickNights:
    return QuickNights(tmp_path, database)


def content(visits: list[tuple[str, str, str, str]]) -> bytes:
    """Return a report. The name of its second column is new in each call, so that equal visits do not make a duplicate."""
    lines = [
        f"{who}@example.com,,,,{envio},{opened},0,0,{clicked},0,0,-,-,-,-\n".encode() for who, envio, opened, clicked in visits
    ]
    return HEADER.replace(b"jk", random.randbytes(8).hex().encode()) + b"".join(lines)


def count_visitors(visits: list[tuple[str, str, str, str]], as_of: date, event: str) -> list[tuple[object, ...]]:
    """Return the rows of visitor, counted one visit at a time."""
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # see forget()
@given(
    visits=VISITS,
    as_of=st.lists(AS_OF, min_size=2, max_size=4),
    events=st.lists(st.sampled_from(EVENTS), min_size=4, max_size=4),
    data=st.data(),
)
def test_counters_equal_a_recount(
    nights: QuickNights, visits: list, as_of: list[date], events: list[str], data: st.DataObject
) -> None:
    """The files come in any order and split, and as-of date and visit event change in between."""
    nights.forget()
    shuffled = data.draw(st.permutations(visits))
    for index, day in enumerate(as_of):
        part = shuffled[index :: len(as_of)]
        cut = data.draw(st.integers(0, len(part)))
        nights.load([content(part[:cut]), content(part[cut:])], day, events[index])
        seen = [visit for earlier in range(index + 1) for visit in shuffled[earlier :: len(as_of)]]
        assert nights.sql("select * from visitor order by email") == count_visitors(seen, day, events[index])
    nights.load([], as_of[0], events[0])
    assert nights.sql("select * from visitor order by email") == count_visitors(visits, as_of[0], events[0])


ENDS = st.sampled_from([b"\n", b"\r\n", b"", b"\r", b"\n\n \t\n"])
GARBAGE = st.lists(st.tuples(LINE, ENDS), max_size=12).map(lambda lines: b"".join(line + end for line, end in lines))
FILES = st.lists(st.one_of(GARBAGE, GARBAGE.map(lambda garbage: HEADER + garbage)), min_size=1, max_size=4)


CORPUS = [
    b"",
    b"\x00" * 5000,
    b"\xef\xbb\xbf",
    b"\xff\xfe" + "email,jk\n".encode("utf-16-le"),
    b"PK\x03\x04" + bytes(range(256)) * 20,
    b"\r" * 3000,
    HEADER + b'"' * (1 << 20),
    HEADER + b"," * (1 << 20) + b"\n" + b"," * 14 + b"\n",
    HEADER + b'","' * 40_000,
    HEADER + b"a@example.com" + b"\xc3\x28" + b"," * 14,
    HEADER + "a@example.com,\u202e\u0000,".encode() + b"\n" + "\ud7ff\ufffe\U0010ffff".encode(),
    HEADER + b"\\.\n\\N,\\N\n{},{}\n" + b'a@example.com,\\.,\\N,{},01/01/0001 00:00,-,0,0,-,0,0,\\,",""",\n',
    HEADER * 3,
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(files=CORPUS, rate=1.0)
@example(files=CORPUS, rate=0.0)
@given(files=FILES, rate=st.sampled_from([0.0, 0.5, 1.0]))
def test_hostile_bytes(nights: QuickNights, files: list[bytes], rate: float) -> None:
    """Nothing crashes, every record is loaded or rejected, and each rejected line is in the zip, at its file and line number."""
    nights.forget()
    nights.night(files, error_rate=rate)
    assert nights.sql("select count(*) from load_file where rows_read <> rows_loaded + rows_rejected") == [(0,)]
    assert nights.sql("select count(*) from load_file") == [(len(files),)]
    assert nights.sql("select count(*) from statistics") == nights.sql("select coalesce(sum(rows_loaded), 0) from load_file")
    zipped = nights.zipped()
    assert [zipped[f"report_{nights.files - len(files) + index}.txt"] for index in range(1, len(files) + 1)] == files
    for name, number, raw_line in nights.sql(
        "select f.name, e.line_number, e.raw_line from errors e join load_file f on f.id = e.file_id"
    ):
        lines = [*read_lines(io.BytesIO(zipped[name])), b""]
        assert storable(lines[number - 1]) == raw_line
    for name, read, status in nights.sql(
        "select name, rows_read, status from load_file where status in ('loaded', 'quarantined')"
    ):
        assert read == sum(map(is_record, list(read_lines(io.BytesIO(zipped[name])))[1:])), status

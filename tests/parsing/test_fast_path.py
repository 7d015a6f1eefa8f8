"""The fast path against the full path: both must give the same for every line."""

import csv
from io import StringIO

from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_laws import ADDRESS, FIFTEEN, LINE, join_fields

from kit.samples import line
from parsing.columns import Visit, parse_line
from parsing.fast_path import DOMAIN_LIMIT, LINE_LIMIT, LOCAL_LIMIT, Split, csv_row, is_plain, read_rest, split_lines
from parsing.faults import error_row, rejection_of

PLAINISH = st.builds(
    "{}@{}".format,
    st.from_regex(r"[a-z0-9._-]{1,12}", fullmatch=True),
    st.sampled_from(
        ["example.com", "example", "a.b.example", "-a.example.com", "xn--a.com", "a..com", "localhost", "x.test", "1.2"]
    ),
)
DOMAIN = st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True)
PLAIN_LINE = st.builds(lambda address, fields: join_fields((address, *fields[1:])), st.one_of(PLAINISH, ADDRESS), FIFTEEN)


NUMBER = 17


def split(line: bytes) -> Split:
    return split_lines([(NUMBER, line)])


def assert_same(line: bytes) -> None:
    """The fast path leaves the line, or gives the result of the full path."""
    found = split(line)
    if found.doubtful:
        assert found == ([], [], [(NUMBER, line)])
        return
    visit = parse_line(line)
    if isinstance(visit, Visit):
        assert found == ([csv_row(visit) + b",%d\n" % NUMBER], [], [])
    else:
        assert found == ([], [error_row(NUMBER, rejection_of(visit), line)], [])


def forget() -> None:
    read_rest.cache_clear()
    is_plain.cache_clear()


@settings(max_examples=600)
@given(st.lists(st.one_of(LINE, PLAIN_LINE), min_size=1, max_size=8))
def test_the_fast_path_gives_what_the_full_path_gives(lines: list[bytes]) -> None:
    forget()
    for seen in lines * 2:  # the second time from the caches
        assert_same(seen)


@settings(max_examples=600)
@given(PLAINISH, st.lists(PLAINISH, max_size=3), FIFTEEN, st.integers(0, 15))
def test_a_tail_means_the_same_behind_every_plain_address(
    address: str, others: list[str], fields: tuple[str, ...], count: int
) -> None:
    forget()
    for one in (address, *others):
        assert_same(join_fields((one, *fields[1:])))
        assert_same(join_fields((one, *fields[1:count])))  # too short


@settings(max_examples=400)
@given(st.from_regex(r"[a-z0-9._-]{1,70}", fullmatch=True), DOMAIN)
@example("a" * LOCAL_LIMIT, "example.com")
@example("a", "a" * (DOMAIN_LIMIT - 4) + ".com")
@example("a", "a" * 63 + ".com")
@example("a", "ab--c.com")
def test_plain_addresses_are_kept_as_they_are(local: str, domain: str) -> None:
    assert_same(join_fields((f"{local}@{domain}", *["", "", ""], "08/02/2013 18:30", *["-"] * 10)))


@given(st.lists(st.text(alphabet='ab", -\tñ\u2028', max_size=6), min_size=15, max_size=15))
def test_a_row_holds_the_values(values: list[str]) -> None:
    """The row is what Python's csv.writer writes: quotes only where needed, and an empty field for NULL."""
    csv.writer(sheet := StringIO(), lineterminator="").writerow(values)
    assert csv_row(values).decode() == sheet.getvalue()


def test_the_fast_path_takes_the_usual_lines() -> None:
    for opened in ("-", "08/02/2013 11:46"):
        assert split(line("ana.lopez_1@example.com", opened=opened).rstrip()).rows
    assert split(line("ana.lopez_1@example.com", envio="31/02/2013 10:00").rstrip()).rejects


def test_the_fast_path_leaves_unusual_lines() -> None:
    for address in (
        "Ana@example.com",
        "ana",
        "ana@localhost",
        '"ana"@example.com',
        " ana@example.com",
        "a" * (LOCAL_LIMIT + 1) + "@example.com",
        "ana@" + "a" * 60 + ".example.com",
        "ana@exämple.com",
        "ana@Example.com",
        "ana@example.com@example.com",
    ):
        assert split(line(address).rstrip()).doubtful
    assert split(b"ana@example.com").doubtful
    assert split(line().rstrip() + b"\xf1").doubtful  # the fault names a position in the line


def test_the_fast_path_leaves_a_long_line() -> None:
    plain = line("ana@example.com").rstrip(b"\r\n-")
    room = LINE_LIMIT - len(plain)
    assert split(plain + b"x" * room).rows
    assert split(plain + b"x" * (room + 1)).doubtful

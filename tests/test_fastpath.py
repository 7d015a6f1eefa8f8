"""The proof of the fast path: whatever it accepts, the full path accepts, with the same row."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastpath import ADDRESS_LIMIT, Domains, FastPath, csv_row
from parts import line
from records import LINE_LIMIT, Visit, parse_line
from test_laws import ADDRESS, FIFTEEN, LINE, joined

PLAINISH = st.builds(
    "{}@{}".format,
    st.from_regex(r"[a-z0-9._-]{1,12}", fullmatch=True),
    st.sampled_from(
        ["example.com", "example", "a.b.example", "-a.example.com", "xn--a.com", "a..com", "localhost", "x.test", "1.2"]
    ),
)
DOMAIN = st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True)
PLAIN_LINE = st.builds(lambda address, fields: joined((address, *fields[1:])), st.one_of(PLAINISH, ADDRESS), FIFTEEN)


def same(fast_path: FastPath, line: bytes) -> None:
    row = fast_path.row(line)
    if row is not None:
        visit = parse_line(line)
        assert isinstance(visit, Visit)
        assert csv_row(visit) == row


@settings(max_examples=600)
@given(st.lists(st.one_of(LINE, PLAIN_LINE), min_size=1, max_size=8))
def test_what_it_accepts_the_full_path_accepts_with_the_same_row(lines: list[bytes]) -> None:
    fast_path = FastPath()
    for seen in lines * 2:  # the second time from memory
        same(fast_path, seen)


@settings(max_examples=600)
@given(PLAINISH, st.lists(PLAINISH, max_size=3), FIFTEEN)
def test_a_tail_means_the_same_behind_every_plain_address(address: str, others: list[str], fields: tuple[str, ...]) -> None:
    fast_path = FastPath()
    for one in (address, *others):
        same(fast_path, joined((one, *fields[1:])))


@settings(max_examples=400)
@given(st.from_regex(r"[a-z0-9._-]{1,70}", fullmatch=True), DOMAIN)
@example("a" * ADDRESS_LIMIT, "example.com")
@example("a", "a" * 63 + ".com")
@example("a", "ab--c.com")
def test_plain_addresses_are_kept_as_they_are(local: str, domain: str) -> None:
    same(FastPath(), joined((f"{local}@{domain}", *["", "", ""], "08/02/2013 18:30", *["-"] * 10)))


def test_it_takes_the_lines_that_reports_are_made_of() -> None:
    fast_path = FastPath()
    for opened in ("-", "08/02/2013 11:46"):
        assert fast_path.row(line("ana.lopez_1@example.com", opened=opened).rstrip()) is not None


def test_it_leaves_the_rest() -> None:
    fast_path = FastPath()
    for address in (
        "Ana@example.com",
        "ana",
        "ana@localhost",
        '"ana"@example.com',
        " ana@example.com",
        "a" * 60 + "@example.com",
    ):
        assert fast_path.row(line(address).rstrip()) is None
    assert fast_path.row(line(envio="31/02/2013 10:00").rstrip()) is None
    assert fast_path.row(b"ana@example.com") is None


def test_it_leaves_a_line_that_is_too_long() -> None:
    start = line("a.rather.long.address@example.com").rstrip(b"\r\n-")
    room = LINE_LIMIT - len(start)
    assert FastPath().row(start + b"x" * room) is not None
    assert FastPath().row(start + b"x" * (room + 1)) is None
    fast_path = FastPath()
    fast_path.row(start + b"x" * room)
    assert not fast_path.tails  # too long to remember


def test_memory_is_bounded() -> None:
    domains = Domains()
    for number in range(20_000):
        assert domains[f"d{number}.example.com".encode()]
    assert len(domains) == 1 << 14

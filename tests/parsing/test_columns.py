"""How a line is parsed: tables of text and result."""

import pytest

from base.masking import mask
from kit.samples import HEADER
from parsing.columns import Visit, check_header, parse_address, parse_date, parse_email, parse_line, parse_minute, parse_number
from parsing.faults import Code, Fault, codes, message, storable
from parsing.lines import LINE_LIMIT

GOOD = ["ana@example.com", "", "", "", "08/02/2013 18:30", "-", "0", "0", "-", "0", "0", "-", "-", "-", "-"]


def join_fields(**changed: str) -> bytes:
    """Return a good line with some fields changed; the fields are named c1 to c15."""
    fields = list(GOOD)
    for column, value in changed.items():
        fields[int(column[1:]) - 1] = value
    return ",".join(fields).encode()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("08/02/2013 18:30", "2013-02-08 18:30"),
        ("29/02/2012 00:00", "2012-02-29 00:00"),
        ("31/12/9999 23:59", "9999-12-31 23:59"),
        ("01/01/0001 00:00", "0001-01-01 00:00"),
        ("31/02/2013 10:00", None),
        ("29/02/2013 10:00", None),
        ("01/01/0000 00:00", None),
        ("8/2/2013 18:30", None),
        ("08/02/13 18:30", None),
        ("08-02-2013 18:30", None),
        ("2013-02-08 18:30", None),
        ("08/02/2013", None),
        ("08/02/2013 24:00", None),
        ("08/02/2013 18:60", None),
        ("08/02/2013 18:30:00", None),
        ("08/02/2013  18:30", None),
        ("02/13/2013 10:00", None),
        ("٠٨/٠٢/٢٠١٣ ١٨:٣٠", None),
        ("08/02/2013 18:30\n", None),
    ],
)
def test_dates(text: str, stored: str | None) -> None:
    assert parse_or_none(parse_date, text) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("0", "0"), ("007", "7"), ("2147483647", "2147483647"), ("0" * 5000 + "1", "1"), ("2147483648", None),
        ("9" * 5000, None), ("+1", None), ("-1", None), ("1_000", None), ("1.0", None), ("1e3", None), ("٣", None),
        ("²", None), ("1 ", None), ("0x1", None),
    ],
)  # fmt: skip
def test_numbers(text: str, stored: str | None) -> None:
    assert parse_or_none(parse_number, text) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Ana.Lopez+x@Example.COM", "ana.lopez+x@example.com"),
        ("josé@example.com", "josé@example.com"),
        ("ana@xn--mgbaal8b0b9b2b.com", "ana@افغانستا.com"),
        ("J\u030cane@example.com", "\u01f0ane@example.com"),  # the capital has no composed form, the small letter has
        ("\u01f0ane@example.com", "\u01f0ane@example.com"),
        ("ana", None),
        ("ana@", None),
        ("@example.com", None),
        ("ana@localhost", None),
        ("ana@example..com", None),
        ("a b@example.com", None),
        ("Ana <ana@example.com>", None),
        ("ana@example.com,", None),
        ("a" * 65 + "@example.com", "a" * 65 + "@example.com"),  # too long by the RFC, but refused in strict mode only
        ("a" * 250 + "@example.com", None),
    ],
)
def test_addresses(text: str, stored: str | None) -> None:
    assert parse_or_none(parse_email, text) == stored


def parse_or_none(parse, text):
    value = parse(text)
    return None if isinstance(value, Code) else value


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        (join_fields(), {}),
        (join_fields(c1=" ANA@example.com\t"), {}),
        (join_fields(c2="-", c3="", c4=" - "), {}),
        (join_fields(c3="HARD", c4="SI"), {"badmail": "HARD", "baja": "SI"}),
        (join_fields(c6="08/02/2013 11:46"), {"fecha_open": "2013-02-08 11:46"}),  # opened before the mail was sent: that happens
        (join_fields(c9="08/02/2013 11:46"), {"fecha_click": "2013-02-08 11:46"}),  # a click without an open
        (join_fields(c7="-", c8="", c10="2", c11="0"), {"opens": "", "opens_virales": "", "clicks": "2"}),
        (join_fields(c12='"0,3"', c14='"IE 9.0,"', c15='""'), {"links": "0,3", "navegadores": "IE 9.0,"}),
        (join_fields(c14='a"b'), {"navegadores": 'a"b'}),  # a quote inside an unquoted field is a character
        (join_fields(c14='"a""b"'), {"navegadores": 'a"b'}),
        (join_fields(c14="ñandú\u00a0"), {"navegadores": "ñandú\u00a0"}),  # the contract does not count U+00A0 as a blank
    ],
)
def test_good_lines(line: bytes, changed: dict[str, str]) -> None:
    plain = Visit("ana@example.com", *[""] * 3, "2013-02-08 18:30", "", "0", "0", "", "0", "0", *[""] * 4)
    assert parse_line(line) == plain._replace(**changed)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (join_fields(c1="nobody"), [(Code.EMAIL_INVALID, "email")]),
        (join_fields(c1="-"), [(Code.EMAIL_INVALID, "email")]),
        (join_fields(c5="-"), [(Code.DATE_MISSING, "fecha_envio")]),
        (join_fields(c5="soon"), [(Code.DATE_INVALID, "fecha_envio")]),
        (join_fields(c6="31/02/2013 10:00"), [(Code.DATE_INVALID, "fecha_open")]),
        (join_fields(c9="x", c6="x"), [(Code.DATE_INVALID, "fecha_open"), (Code.DATE_INVALID, "fecha_click")]),
        (join_fields(c8="1_000"), [(Code.NUMBER_INVALID, "opens_virales")]),
        (
            join_fields(c1="@", c5="", c7="x", c9="y", c11="z"),
            [
                (Code.EMAIL_INVALID, "email"),
                (Code.DATE_MISSING, "fecha_envio"),
                (Code.NUMBER_INVALID, "opens"),
                (Code.DATE_INVALID, "fecha_click"),
                (Code.NUMBER_INVALID, "clicks_virales"),
            ],
        ),
        (join_fields() + b",", [(Code.LAYOUT_COLUMNS, "")]),
        (join_fields().rpartition(b",")[0], [(Code.LAYOUT_COLUMNS, "")]),
        (join_fields(c15='"open'), [(Code.LAYOUT_COLUMNS, "")]),
        (join_fields(c15='"a"b'), [(Code.LAYOUT_COLUMNS, "")]),
        (join_fields(c15="\x00"), [(Code.ENCODING, "")]),
        (join_fields(c15="a\rb"), [(Code.ENCODING, "")]),
        (join_fields(c15="\x7f"), [(Code.ENCODING, "")]),
        (join_fields() + b"\xf1", [(Code.ENCODING, "")]),
        (join_fields(c15="x" * LINE_LIMIT), [(Code.LAYOUT_COLUMNS, "")]),
    ],
)
def test_faults(line: bytes, found: list[tuple[Code, str]]) -> None:
    faults = parse_line(line)
    assert isinstance(faults, list)
    assert [(fault.code, fault.field) for fault in faults] == found


def test_a_field_may_fill_the_line() -> None:
    room = LINE_LIMIT - len(join_fields(c15=""))
    visit = parse_line(join_fields(c15="x" * room))
    assert isinstance(visit, Visit)
    assert len(visit.plataformas) == room


@pytest.mark.parametrize(
    "header",
    [
        HEADER.rstrip(),
        b"\xef\xbb\xbf" + HEADER.rstrip(),
        HEADER.rstrip().replace(b"jk", b"jyv"),
        HEADER.rstrip().replace(b"jk", b""),
        HEADER.rstrip().upper(),
        HEADER.rstrip().replace(b"Fecha envio", " fecha envío\t".encode()),
        HEADER.rstrip().replace(b"IPs", b'"IPs"'),
    ],
)
def test_headers(header: bytes) -> None:
    assert check_header(header) is None


@pytest.mark.parametrize(
    ("header", "flaw"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b" ,\t,", "empty"),
        (b"id,name,price", "3 columns, not 15; no email at 1, Badmail at 3 and 12 more"),
        (HEADER.rstrip() + b",555-0100", "16 columns, not 15"),
        (HEADER.rstrip().rpartition(b",")[0], "14 columns, not 15; no Plataformas at 15"),
        (HEADER.rstrip().replace(b"Clicks,", b"ana@example.com,"), "no Clicks at 10"),
        (HEADER.rstrip().replace(b"Links", b"Ana Lopez").replace(b"IPs", b"10.0.0.7"), "no Links at 12, IPs at 13"),
        (b"\xff" + HEADER.rstrip(), "not UTF-8"),
        (b'"' + HEADER.rstrip(), "broken quoting"),
        (b"ana@example.com,Ana Lopez,555-0100,10.0.0.7", "4 columns, not 15; no email at 1, Badmail at 3 and 12 more"),
        (join_fields(), "no email at 1, Badmail at 3 and 12 more"),
        (b"x" * 4000 + b",y", "2 columns, not 15; no email at 1, Badmail at 3 and 12 more"),
        (HEADER.rstrip().replace(b"jk", b"x" * 4096), "more than 4096 bytes"),
        (b"a," * 2048 + b"b", "more than 4096 bytes"),
    ],
)
def test_strange_headers(header: bytes, flaw: str) -> None:
    """The fault shows nothing of the line: it may be of a person."""
    fault = check_header(header)
    assert fault == Fault(Code.LAYOUT_HEADER, value=flaw)
    assert str(fault).endswith(f': "{flaw}"')


def test_the_longest_header() -> None:
    assert check_header(HEADER.rstrip().replace(b"jk", b"x" * (4096 - len(HEADER.rstrip()) + 2))) is None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ana@example.com", "a…@example.com"),
        ("to ana@example.com, bea@example.org", "to a…@example.com, b…@example.org"),
        ('"ana lopez"@example.com', "…@example.com"),
        ("@example.com", "…@example.com"),
        ("no address", "no address"),
    ],
)
def test_mailboxes_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_message_names_every_fault_and_no_mailbox() -> None:
    faults = [Fault(Code.EMAIL_INVALID, "email", "ana@x\x00"), Fault(Code.DATE_INVALID, "fecha_open", "y" * 200)]
    assert message(faults) == (
        'email-invalid: email: not a valid e-mail address: "a…@x\\x00"; '
        f'date-invalid: fecha_open: not an existing date in the form dd/mm/yyyy HH:mm: "{"y" * 80}"'
    )
    assert codes([*faults, faults[0]]) == [Code.EMAIL_INVALID, Code.DATE_INVALID]


@pytest.mark.parametrize(
    ("line", "stored"),
    [
        (b"plain \xc3\xb1\t", "plain ñ\t"),
        (b"a\x00b\xf1c", r"a\x00b\xf1c"),
        (b"x" * 70_000, "x" * 65_536),
        ("ñ".encode() * 40_000, "ñ" * 32_768),
        (b"\xff" * 65_536, (r"\xff" * 16_384)),
    ],
)
def test_rejected_lines_can_be_stored(line: bytes, stored: str) -> None:
    assert storable(line) == stored


def test_long_fields_are_not_remembered() -> None:
    """They would fill the memory."""
    before = parse_minute.cache_info().currsize, parse_address.cache_info().currsize
    for number in range(5):
        assert isinstance(parse_line(join_fields(c1=f"{number}@{'x' * 900}", c5=f"{number}" * 900, c6=f"{number}" * 900)), list)
        assert isinstance(parse_line(join_fields(c6=f"{number}" * 900 + " 10:00")), list)
    assert (parse_minute.cache_info().currsize, parse_address.cache_info().currsize) == before

"""The report of contract section 2: its columns, its header, and how a line is parsed."""

import csv
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from itertools import zip_longest
from operator import call
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

from parsing.faults import Code, Fault
from parsing.lines import LINE_LIMIT

BLANKS = " \t"
BOM = b"\xef\xbb\xbf"
NOTHING = ("", "-")  # fields without a value
NUMBER_LIMIT = 2**31 - 1  # Postgres integer
MINUTE = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d)", re.ASCII)
MINUTE_LENGTH = 16  # characters
EMAIL_LIMIT = 320  # characters
HEADER_LIMIT = 1 << 12  # bytes
NAMED = 2  # missing headers in a fault
REMEMBERED = 1 << 14  # addresses, and dates, that are parsed once: most of a report's dates are the same few
DIGITS = re.compile(r"0*(\d{1,10})", re.ASCII)
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

csv.field_size_limit(LINE_LIMIT)

Value = str | Code  # a field as it is stored, "" for NULL; or the code of its fault
Parser = Callable[[str], Value]


class Column(NamedTuple):
    """One column of the report, by position."""

    header: str  # as the sender writes it; "" if any name will do
    name: str  # in the statistics table
    parse: Parser


class Visit(NamedTuple):
    """One valid record. Values are text in the form that Postgres reads: dates as ISO, NULL as the empty string."""

    email: str
    jyv: str
    badmail: str
    baja: str
    fecha_envio: str
    fecha_open: str
    opens: str
    opens_virales: str
    fecha_click: str
    clicks: str
    clicks_virales: str
    links: str
    ips: str
    navegadores: str
    plataformas: str


def parse_text(field: str) -> Value:
    """Return the field as received; ``-`` as NULL."""
    return "" if field == "-" else field


def parse_email(field: str) -> Value:
    """Return the address normalized and in lower case, or EMAIL_INVALID. No name server is asked."""
    if "@" not in field or len(field) > EMAIL_LIMIT:
        return Code.EMAIL_INVALID  # the validator would take long to find the same
    return parse_address(field)


@lru_cache(REMEMBERED)
def parse_address(field: str) -> Value:
    """Return what ``parse_email`` does for a field of at most EMAIL_LIMIT characters."""
    try:
        address = validate_email(field, check_deliverability=False).normalized
    except EmailNotValidError:
        return Code.EMAIL_INVALID
    return unicodedata.normalize("NFC", address.lower())  # a lower-case letter may be composed where its capital is not


def parse_date(field: str) -> Value:
    """Return ``dd/mm/yyyy HH:mm`` as ``yyyy-mm-dd HH:mm``, NOTHING as NULL, and DATE_INVALID if there is no such minute."""
    if field in NOTHING:
        return ""
    return parse_minute(field) if len(field) == MINUTE_LENGTH else Code.DATE_INVALID


@lru_cache(REMEMBERED)
def parse_minute(field: str) -> Value:
    """Return what ``parse_date`` does for a field of 16 characters."""
    if not (match := MINUTE.fullmatch(field)):
        return Code.DATE_INVALID
    day, month, year, hour, minute = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute).isoformat(" ", "minutes")  # noqa: DTZ001 - a report's dates have no zone
    except ValueError:
        return Code.DATE_INVALID


def parse_required_date(field: str) -> Value:
    """Return the date as parse_date does, but DATE_MISSING instead of NULL."""
    return parse_date(field) or Code.DATE_MISSING


def parse_number(field: str) -> Value:
    """Return a number from 0 to 2147483647 without leading zeros, NOTHING as NULL, all else as NUMBER_INVALID."""
    if field in NOTHING:
        return ""
    match = DIGITS.fullmatch(field)
    if not match or int(match[1]) > NUMBER_LIMIT:
        return Code.NUMBER_INVALID
    return str(int(match[1]))


COLUMNS = (
    Column("email", "email", parse_email),
    Column("", "jyv", parse_text),
    Column("Badmail", "badmail", parse_text),
    Column("Baja", "baja", parse_text),
    Column("Fecha envio", "fecha_envio", parse_required_date),
    Column("Fecha open", "fecha_open", parse_date),
    Column("Opens", "opens", parse_number),
    Column("Opens virales", "opens_virales", parse_number),
    Column("Fecha click", "fecha_click", parse_date),
    Column("Clicks", "clicks", parse_number),
    Column("Clicks virales", "clicks_virales", parse_number),
    Column("Links", "links", parse_text),
    Column("IPs", "ips", parse_text),
    Column("Navegadores", "navegadores", parse_text),
    Column("Plataformas", "plataformas", parse_text),
)
PARSERS = [column.parse for column in COLUMNS]
CODES = frozenset(Code)


def parse_line(line: bytes) -> Visit | list[Fault]:
    """Return the line as a Visit, or every fault of the line, in column order. Never raises on data.

    ``line`` comes without its line end. A line that is too long, is no text, or has not fifteen fields has only that
    fault, because its fields mean nothing.
    """
    if len(line) > LINE_LIMIT:
        return [Fault(Code.LAYOUT_COLUMNS, value=f"more than {LINE_LIMIT} bytes")]
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return [Fault(Code.ENCODING, value=f"byte {line[error.start]:#04x} at {error.start + 1}")]
    if not text.isprintable() and (control := CONTROL.search(text)):
        return [Fault(Code.ENCODING, value=f"U+{ord(control[0]):04X} at {control.start() + 1}")]
    try:
        fields = split(text)
    except csv.Error as error:
        return [Fault(Code.LAYOUT_COLUMNS, value=str(error))]
    if len(fields) != len(COLUMNS):
        return [Fault(Code.LAYOUT_COLUMNS, value=f"{len(fields)} fields")]
    return parse_fields(fields)


def parse_fields(fields: list[str]) -> Visit | list[Fault]:
    """Return fifteen fields as a Visit, or every fault of the fields, in column order."""
    values = list(map(call, PARSERS, fields))
    if CODES.isdisjoint(values):
        return Visit._make(values)
    columns = zip(COLUMNS, values, fields, strict=True)
    faults = [Fault(value, column.name, field) for column, value, field in columns if isinstance(value, Code)]
    return faults or Visit._make(values)  # no fault: a text that reads like a code


def split(text: str) -> list[str]:
    """Return the fields of one CSV line without the blanks around them; raise csv.Error if the quoting is broken."""
    fields = next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")
    return [field.strip(BLANKS) for field in fields]


def is_record(line: bytes) -> bool:
    """Return whether the line holds more than blanks. Lines of blanks are not counted."""
    return len(line) > LINE_LIMIT or bool(line.strip(b" \t"))  # the line may go on behind the limit


def check_header(line: bytes) -> Fault | None:
    """Return the fault of line 1, or None if line 1 is the report's header. The fault shows nothing of the line.

    A line 1 that is no header may be data: what stands there is of people.
    """
    flaw = f"more than {HEADER_LIMIT} bytes" if len(line) > HEADER_LIMIT else header_flaw(line.removeprefix(BOM))
    return Fault(Code.LAYOUT_HEADER, value=flaw) if flaw else None


@lru_cache(maxsize=16)  # most reports have the same line 1
def header_flaw(line: bytes) -> str:
    """Return what is wrong with a header, "" if nothing is: how many columns it has, and which header is missing where."""
    try:
        names = split(line.decode())
    except UnicodeDecodeError:
        return "not UTF-8"
    except csv.Error:
        return "broken quoting"
    if not any(names):
        return "empty"
    flaws = [f"{len(names)} columns, not {len(COLUMNS)}"] if len(names) != len(COLUMNS) else []
    named = zip_longest(COLUMNS, map(fold, names[: len(COLUMNS)]))
    missing = [
        f"{column.header} at {place}"
        for place, (column, name) in enumerate(named, 1)
        if column.header and fold(column.header) != name
    ]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        flaws.append(f"no {', '.join(missing[:NAMED])}{more}")
    return "; ".join(flaws)


def fold(name: str) -> str:
    """Return a column's name without case, accents and surrounding blanks, for comparison."""
    plain = unicodedata.normalize("NFKD", name.strip(BLANKS).casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))

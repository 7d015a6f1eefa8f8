"""The faults of a line or a whole file: the catalogue, and the words for each."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from base.masking import clean

RAW_LIMIT = 1 << 16  # bytes: a rejected line is stored up to here
VALUE_LIMIT = 80  # characters: a message repeats a faulty value up to here

ErrorRow = tuple[int, str, str, str]  # line number, codes as Postgres writes an array, message, raw line


class Code(StrEnum):
    """Why a line was rejected. Stored in errors.codes: add values, never rename one."""

    LAYOUT_HEADER = "layout-header"
    LAYOUT_COLUMNS = "layout-columns"
    ENCODING = "encoding"
    EMAIL_INVALID = "email-invalid"
    DATE_MISSING = "date-missing"
    DATE_INVALID = "date-invalid"
    NUMBER_INVALID = "number-invalid"
    LOAD_REFUSED = "load-refused"
    ERROR_RATE = "error-rate"

    @property
    def meaning(self) -> str:
        """Return the code's meaning in words for people, the same in messages and documents."""
        return MEANINGS[self]


MEANINGS = {
    Code.LAYOUT_HEADER: "the file is empty, or its first line is not the header",
    Code.LAYOUT_COLUMNS: "not fifteen fields, broken quoting, or longer than 1 MiB",
    Code.ENCODING: "not UTF-8, or holds NUL or another ASCII control character",
    Code.EMAIL_INVALID: "not a valid e-mail address",
    Code.DATE_MISSING: "a required date is empty",
    Code.DATE_INVALID: "not an existing date in the form dd/mm/yyyy HH:mm",
    Code.NUMBER_INVALID: "not a whole number from 0 to 2147483647",
    Code.LOAD_REFUSED: "Postgres refused a line that validation had passed",
    Code.ERROR_RATE: "the share of rejected lines is above MAX_ERROR_RATE, so nothing was loaded",
}


class Fault(NamedTuple):
    """One fault in one field; a line with two bad fields has two."""

    code: Code
    field: str = ""  # column at fault, "" for the whole line
    value: str = ""  # as received; a fault of the whole line has a detail instead: "14 fields"

    def __str__(self) -> str:
        """Return e.g. ``date-invalid: fecha_open: not an existing date ...: "31/02/2013 10:00"``."""
        field = f"{self.field}: " if self.field else ""
        value = clean(self.value, VALUE_LIMIT)  # the cut may split a mailbox
        return f"{self.code}: {field}{self.code.meaning}" + (f': "{value}"' if value else "")


class Rejection(NamedTuple):
    """Why a line is rejected, in the form of the table errors."""

    codes: str  # as Postgres writes an array: {email-invalid,date-missing}
    message: str


def message(faults: Sequence[Fault]) -> str:
    """Return all faults of a line as one line of text, in the order of the faults."""
    return "; ".join(map(str, faults))


def codes(faults: Sequence[Fault]) -> list[Code]:
    """Return the distinct codes of a line's faults, in the order of the faults."""
    return list(dict.fromkeys(fault.code for fault in faults))


def rejection_of(faults: Sequence[Fault]) -> Rejection:
    """Return the Rejection of a line that has these faults."""
    return Rejection("{" + ",".join(codes(faults)) + "}", message(faults))


def error_row(number: int, rejection: Rejection, line: bytes) -> ErrorRow:
    """Return a rejected line's row for the table errors, without the file's id."""
    return number, *rejection, storable(line)


def storable(line: bytes) -> str:
    """Return the line as text that Postgres can store: NUL and bytes that are not UTF-8 are escaped; cut at 64 KiB."""
    text = line[:RAW_LIMIT].decode(errors="backslashreplace").replace("\0", r"\x00")
    return text.encode()[:RAW_LIMIT].decode(errors="ignore")

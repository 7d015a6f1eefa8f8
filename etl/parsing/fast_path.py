"""The fast path: parse plain lines the short way, and leave every other line to the full path.

Most lines of a report differ in the address only. The fast path reads such a line in three parts:

- What stands before the @ must match a pattern narrower than any validator's.
- The domain is shown to the full path (``columns.parse_email``) once; the answer is remembered.
- What stands behind the address is parsed by the full path (``columns.parse_line``) once; the result is remembered.

The result is that of the full path, for two reasons:

- A plain address holds no comma, quote, blank or control character. So the fields behind the address, and their faults,
  are the same behind every plain address.
- Everything that is remembered came from the full path.

tests/parsing/test_fast_path.py checks both on the lines that Hypothesis invents.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from parsing.columns import Visit, parse_email, parse_line
from parsing.faults import Code, ErrorRow, Rejection, error_row, rejection_of

PLAIN = re.compile(rb"[a-z0-9_-]++(?:\.[a-z0-9_-]++)*+").fullmatch  # what stands before the @ of an address
LOCAL_LIMIT = 64  # bytes before the @ (RFC 5321); the pattern does not limit the length
DOMAIN_LIMIT = 64  # bytes
LINE_LIMIT = 320  # bytes: longer lines are not worth remembering
REMEMBERED = 1 << 14  # entries at most, in each of the two caches
KNOWN_GOOD = b"a@example.com,"  # a valid address, put before fields to be parsed

Numbered = tuple[int, bytes]  # line number, line


class Split(NamedTuple):
    """The result for some lines."""

    rows: list[bytes]  # for statistics, as COPY reads them, LF included
    rejects: list[ErrorRow]  # for errors
    doubtful: list[Numbered]  # lines left to the full path


def split_lines(lines: Iterable[Numbered]) -> Split:
    """Return the rows of the plain lines, and the lines left to the full path."""
    rows, rejects, doubtful = split = Split([], [], [])
    for number, line in lines:
        local, _, rest = line.partition(b"@")
        if len(line) <= LINE_LIMIT and len(local) <= LOCAL_LIMIT and PLAIN(local):
            row = read_rest(rest)
            if isinstance(row, bytes):
                rows.append(b"%b@%b,%d\n" % (local, row, number))
                continue
            if row:
                rejects.append(error_row(number, row, line))
                continue
        doubtful.append((number, line))
    return split


@lru_cache(REMEMBERED)
def read_rest(rest: bytes) -> bytes | Rejection | None:
    """Return what follows the @ of a plain address in the form of a row, or the Rejection of such a line.

    None leaves the line to the full path, because the domain is not plain or the line is no text. The fault of a line
    that is no text names a position, and the position depends on the address.
    """
    domain, comma, tail = rest.partition(b",")
    if not comma or not is_plain(domain):
        return None
    visit = parse_line(KNOWN_GOOD + tail)
    if isinstance(visit, Visit):
        return domain + csv_row(visit)[len(KNOWN_GOOD) - 1 :]
    return None if visit[0].code is Code.ENCODING else rejection_of(visit)


@lru_cache(REMEMBERED)
def is_plain(domain: bytes) -> bool:
    """Return whether the domain is valid, and stands in a normalized address as received."""
    if len(domain) > DOMAIN_LIMIT or not domain.isascii():
        return False
    address = f"a@{domain.decode()}"
    return parse_email(address) == address


class Echo:
    """A file for csv.writer: writerow returns what ``write`` returns, which is the line."""

    @staticmethod
    def write(line: str) -> str:
        """Return the line."""
        return line


write_row = csv.writer(Echo(), lineterminator="").writerow


def csv_row(values: Sequence[str]) -> bytes:
    """Return the values as COPY reads them: one CSV line without a line end, in which an empty field is NULL."""
    row = ",".join(values)
    if '"' in row or row.count(",") >= len(values):  # a value needs quotes
        row = write_row(values)
    return row.encode()

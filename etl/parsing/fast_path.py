"""The fast path: what becomes of plain lines; every other line is left to the full path.

Most lines of a report differ in their address only. So what stands behind the address is read by the
full path (``records.parse_line``) when it is first seen, and remembered; what stands before the @ is
compared with a pattern narrower than any validator's, and the domain is shown to the full path once.
Every other line is left to the full path. Why the result is the same:

- a plain address holds no comma, quote, blank or control character, so the fields behind it are
  what they are behind any other plain address, and so are their faults;
- whatever is remembered came from the full path.

tests/parsing/test_fast_path.py shows both on whatever Hypothesis thinks of.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from parsing.columns import Visit, parse_email, parse_line
from parsing.faults import Code, ErrorRow, Rejection, error_row, rejection_of

PLAIN = re.compile(rb"[a-z0-9_-]++(?:\.[a-z0-9_-]++)*+").fullmatch  # what stands before the @ of an address
LOCAL_LIMIT = 64  # bytes before the @; the pattern knows nothing of the lengths that standards allow
DOMAIN_LIMIT = 64  # bytes
LINE_LIMIT = 320  # bytes of a line that is worth remembering
REMEMBERED = 1 << 14  # domains, and what stands behind them and behind the @, at the most
KNOWN_GOOD = b"a@example.com,"

Numbered = tuple[int, bytes]  # line number, line


class Split(NamedTuple):
    """What has become of some lines."""

    rows: list[bytes]  # as COPY reads them into statistics, LF included
    rejects: list[ErrorRow]
    doubtful: list[Numbered]  # left to the full path


def split_lines(lines: Iterable[Numbered]) -> Split:
    """Return what the plain lines give, and the lines that are not plain."""
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
    """Return what stands behind the @ of a plain address as a row has it; or why it is rejected.

    None if its domain is not plain; or if it is not text: then the fault names a place, and that
    depends on the address.
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
    """Return whether addresses keep the domain as it is."""
    if len(domain) > DOMAIN_LIMIT or not domain.isascii():
        return False
    address = f"a@{domain.decode()}"
    return parse_email(address) == address


class Echo:
    """What csv.writer writes to, so that it gives the line back."""

    @staticmethod
    def write(line: str) -> str:
        """Return the line."""
        return line


write_row = csv.writer(Echo(), lineterminator="").writerow


def csv_row(values: Sequence[str]) -> bytes:
    """Return values as COPY reads them: one CSV line without its end, the empty field as NULL."""
    row = ",".join(values)
    if '"' in row or row.count(",") >= len(values):  # some value wants quotes
        row = write_row(values)
    return row.encode()

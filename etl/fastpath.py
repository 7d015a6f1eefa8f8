"""The fast path: what becomes of plain lines; every other line is left to the full path.

Most lines of a report differ in their address only. So what stands behind the address is read by the
full path (``records.parse_line``) when it is first seen, and remembered; an address is compared with
a pattern narrower than any validator's, and its domain is shown to the full path once. Every other
line is left to the full path. Why the result is the same:

- a plain address holds no comma, quote, blank or control character, so the fields behind it are
  what they are behind any other plain address, and so are their faults;
- whatever is remembered came from the full path.

tests/test_fastpath.py shows both on whatever Hypothesis thinks of.
"""

import csv
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from faults import Code, ErrorRow, Reason, error_row, reason
from records import Visit, parse_email, parse_line

PLAIN = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*@([a-z0-9.-]+)").fullmatch
ADDRESS_LIMIT = 64  # bytes; the pattern knows nothing of the lengths that standards allow
TAIL_LIMIT = 256  # bytes of a tail that is worth remembering
REMEMBERED = 1 << 14  # tails, and domains, at the most
KNOWN_GOOD = b"a@example.com"

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
        address, comma, tail = line.partition(b",")
        match = PLAIN(address)
        if match and comma and len(address) <= ADDRESS_LIMIT and len(tail) <= TAIL_LIMIT and is_plain(match[1]):
            row = read_tail(tail)
            if isinstance(row, bytes):
                rows.append(b"%b%b,%d\n" % (address, row, number))
                continue
            if row:
                rejects.append(error_row(number, row, line))
                continue
        doubtful.append((number, line))
    return split


@lru_cache(REMEMBERED)
def read_tail(tail: bytes) -> bytes | Reason | None:
    """Return what stands behind an address and its comma as a row has it, comma included; or why it is rejected.

    None if it is not text: then the fault names a place, and that depends on the address.
    """
    visit = parse_line(KNOWN_GOOD + b"," + tail)
    if isinstance(visit, Visit):
        return csv_row(visit)[len(KNOWN_GOOD) :]
    return None if visit[0].code is Code.ENCODING else reason(visit)


@lru_cache(REMEMBERED)
def is_plain(domain: bytes) -> bool:
    """Return whether addresses keep the domain as it is."""
    address = f"a@{domain.decode()}"
    return parse_email(address) == address


class Echo:
    """What csv.writer writes to, so that it gives the line back."""

    @staticmethod
    def write(line: str) -> str:
        """Return the line."""
        return line


write_row = csv.writer(Echo(), lineterminator="").writerow


def csv_row(values: Iterable[str | None]) -> bytes:
    """Return values as COPY reads them: one CSV line without its end, None as the empty field."""
    line: str = write_row(values)
    return line.encode()

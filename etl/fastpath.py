"""The fast path: rows for lines that are plainly good, and None for every other line.

Most lines of a report differ in their address only. So what stands behind the address is read by the
full path (``records.parse_line``) when it is first seen, and remembered; an address is compared with
a pattern narrower than any validator's, and its domain is shown to the full path once. A line that
is not plainly good is left to the full path, which alone rejects. Why the result is the same:

- a plain address holds no comma, quote, blank or control character, so the fields behind it are
  what they are behind any other plain address;
- whatever is remembered came from the full path.

tests/test_fastpath.py shows both on whatever Hypothesis thinks of.
"""

import csv
import re
from collections.abc import Iterable

from records import LINE_LIMIT, Visit, parse_email, parse_line

PLAIN = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*@([a-z0-9.-]+)").fullmatch
ADDRESS_LIMIT = 64  # bytes; the pattern knows nothing of the lengths that standards allow
TAIL_LIMIT = 256  # bytes of a tail that is worth remembering
REMEMBERED = 1 << 14  # tails, and domains, at the most
KNOWN_GOOD = b"a@example.com"


class Tails(dict[bytes, bytes | None]):
    """What stands behind the address, with its comma: the same as a row has it, or None if it is not plainly good."""

    def __missing__(self, tail: bytes) -> bytes | None:
        """Ask the full path."""
        visit = parse_line(KNOWN_GOOD + tail)
        row = csv_row(visit)[len(KNOWN_GOOD) :] if isinstance(visit, Visit) else None
        if len(self) < REMEMBERED and len(tail) <= TAIL_LIMIT:
            self[tail] = row
        return row


class Domains(dict[bytes, bool]):
    """Whether a domain is one that addresses keep as it is."""

    def __missing__(self, domain: bytes) -> bool:
        """Ask the full path."""
        address = f"a@{domain.decode()}"
        try:
            plain = parse_email(address) == address
        except ValueError:
            plain = False
        if len(self) < REMEMBERED:
            self[domain] = plain
        return plain


class FastPath:
    """Rows of plainly good lines; it remembers what it has seen."""

    def __init__(self) -> None:
        self.tails = Tails()
        self.domains = Domains()

    def row(self, line: bytes) -> bytes | None:
        """Return the line as COPY reads it, or None to leave it to the full path."""
        address, comma, tail = line.partition(b",")
        match = PLAIN(address)
        if len(line) > LINE_LIMIT:
            return None
        if match and len(address) <= ADDRESS_LIMIT and self.domains[match[1]] and (row := self.tails[comma + tail]):
            return address + row
        return None


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

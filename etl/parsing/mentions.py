"""Where an address is mentioned, however it is written there."""

import re
from collections.abc import Iterator

from parsing.columns import parse_email
from parsing.lines import Readable, read_blocks
from parsing.split import split_lines

# What an address cannot hold, or hardly ever does; and the escapes of what is no text.
BETWEEN = re.compile(r'(?:\\x[0-9a-f]{2}|[\x00-\x20\x7f\xa0\ufeff,;:<>()\[\]"=|/\\])+')


def mentions(text: str, email: str) -> bool:
    """Return whether the normalized address stands in the text as a whole, in any way of writing it."""
    return "@" in text and any(
        "@" in word and email in (parse_email(word), parse_email(word.strip("'."))) for word in BETWEEN.split(text)
    )


def lines_about(report: Readable, email: str) -> Iterator[int]:
    """Yield the numbers of the lines of that address, and of the rejected lines, the header's too, that mention it."""
    begin = email.encode() + b","
    number = 1
    for lines in read_blocks(report):
        rows, rejects = split_lines(lines, number)
        yield from (int(row.rpartition(b",")[2]) for row in rows if row.startswith(begin))
        yield from (line_number for line_number, _, _, raw_line in rejects if mentions(raw_line, email))
        number += len(lines)

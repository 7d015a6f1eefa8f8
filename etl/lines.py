"""Physical lines of a report, one after the other, in bounded memory."""

from collections.abc import Iterator
from typing import IO

from records import LINE_LIMIT


def read_lines(report: IO[bytes]) -> Iterator[bytes]:
    """Yield every line without its LF or CRLF; of one longer than LINE_LIMIT only the first LINE_LIMIT + 1 bytes.

    Only LF ends a line. The last line need not have one.
    """
    while line := report.readline(LINE_LIMIT + 2):
        if len(line) > LINE_LIMIT + 1 and not line.endswith(b"\n"):
            skip_line(report)
            line = line[: LINE_LIMIT + 1]
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def skip_line(report: IO[bytes]) -> None:
    """Read on to behind the next LF, or to the end."""
    while (rest := report.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
        pass

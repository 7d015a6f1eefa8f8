"""What people's commands print on: any locale's letters, and a reader who may leave before the end."""

import errno
import io
import os
import sys
from typing import TextIO

GONE = (errno.EPIPE, errno.EIO)  # a pipe whose reader has left, a terminal that was closed


def set_up() -> None:
    """Make stdout show a letter that its locale lacks as an escape, and let it pass over a reader who has left.

    A locale named C or POSIX gets ASCII. Python itself would print UTF-8 there.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_line = sys.stdout.line_buffering
        encoding = "ascii" if is_plain_c() else sys.stdout.encoding
        sys.stdout = Patient(sys.stdout.detach(), encoding, "backslashreplace", line_buffering=is_line)


def is_plain_c() -> bool:
    """Return whether somebody chose the locale C; where none is chosen, Python takes C.UTF-8 and enters that in LC_CTYPE."""
    kind = os.environ.get("LC_CTYPE", "")
    chosen = os.environ.get("LC_ALL") or (kind if kind not in ("C.UTF-8", "C.utf8", "UTF-8") else "") or os.environ.get("LANG")
    return chosen in ("C", "POSIX") and "PYTHONIOENCODING" not in os.environ


class Patient(io.TextIOWrapper):
    """A stdout that nobody need read to the end: what comes after is lost, and the command ends as it would have ended."""

    def write(self, text: str) -> int:
        """Write the text."""
        try:
            return super().write(text)
        except OSError as error:
            send_to_nobody(self, error)
            return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        try:
            super().flush()
        except OSError as error:
            send_to_nobody(self, error)


def send_to_nobody(stream: TextIO, error: OSError) -> None:
    """Send to nobody what the stream holds back and what is written from here on; raise the error if it has a reader."""
    if error.errno not in GONE:
        raise error
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, stream.fileno())
    os.close(nobody)

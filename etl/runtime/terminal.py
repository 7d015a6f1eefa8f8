"""What people's commands print on: any locale's letters, and a reader who may leave before the end."""

import io
import os
import sys


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
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        try:
            super().flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Send everything from here on to nobody."""
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, self.fileno())
        os.close(nobody)

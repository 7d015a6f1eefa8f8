"""The logs: everything goes to LOG_DIR/<script>.log and to the run's journal; warnings and errors go to stderr too."""

import fcntl
import itertools
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime, tzinfo
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from base.masking import clean, clean_lines
from base.settings import Settings
from base.trust import make_folder, open_mine
from notices.journal import MESSAGE_LIMIT, JsonFormatter, write_to_journal
from runtime.terminal import send_to_nobody


def to_stderr(script: str) -> None:
    """Print warnings and errors as ``load: message``; cron mails them."""
    handler = Terminal(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(CleanFormatter(f"{script}: %(message)s"))
    logging.getLogger("etl").setLevel(logging.INFO)
    logging.getLogger("etl").handlers = [handler]
    write_to_journal(script, logging.getLogger("etl"))
    # Trouble reaches a script as an exception. Libraries log it besides, and threads of paramiko and the COPY of psycopg2
    # print it: this is not for people, and may hold a line of a report, a secret address, or whatever a server said.
    logging.getLogger().addHandler(logging.NullHandler())
    threading.excepthook = lambda thrown: note_printed(thrown.exc_type)
    sys.excepthook = lambda kind, *_: note_printed(kind)


def to_file(settings: Settings, script: str, run_id: str, kind: "type[LogFile] | None" = None) -> None:
    """Log everything to LOG_DIR/<script>.log, a new file every midnight; ``kind`` is LogFile unless it is named."""
    make_folder("LOG_DIR", settings.log_dir)
    handler = (kind or LogFile)(
        settings.log_dir / f"{script}.log", "midnight", backupCount=settings.log_keep_days, encoding="utf-8"
    )
    plain = CleanFormatter(f"%(asctime)s %(levelname)s {run_id} %(name)s %(message)s", settings.now().tzinfo)
    handler.setFormatter(JsonFormatter(script, run_id) if settings.log_format == "json" else plain)
    logging.getLogger("etl").addHandler(handler)


def note_printed(kind: type[BaseException]) -> None:
    """Log that a library printed an exception: the library raised or handled the exception as well."""
    logging.getLogger("etl.logs").info("a library printed %s", kind.__name__)


Thrown = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class CleanFormatter(logging.Formatter):
    """Lines for people, cleaned of all that a terminal or a log is not to get; a time has its distance from UTC."""

    def __init__(self, form: str, zone: tzinfo | None = None) -> None:
        super().__init__(form)
        self._zone = zone

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return e.g. ``2026-11-22 00:02:03,123 -0600``."""
        when = datetime.fromtimestamp(record.created, self._zone)
        return f"{when:%Y-%m-%d %H:%M:%S},{int(record.msecs):03} {when:%z}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the record as one line."""
        record.message = clean(record.message, MESSAGE_LIMIT)
        return super().formatMessage(record)

    def formatException(self, ei: Thrown) -> str:  # noqa: N802 - logging's name
        """Return the traceback. Its lines are indented: none of them can be taken for a record."""
        return indent(clean_lines(super().formatException(ei)), "  ")


class Terminal(logging.StreamHandler[TextIO]):
    """A handler that prints above the progress bar, if there is a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record, if somebody is still there to read it."""
        try:
            tqdm.write(self.format(record), file=self.stream)
        except OSError as error:
            send_to_nobody(self.stream, error)


def inode(path: str) -> int | None:
    """Return the inode of a file, or None if the file is gone."""
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return None


class LogFile(TimedRotatingFileHandler):
    """A log file that stops the script when the file cannot be written: a night without a log is no good night."""

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Rotate the file, unless another run has rotated it already. No rotated file is overwritten."""
        with self._open_beside(".rotate") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.stream and os.fstat(self.stream.fileno()).st_ino == inode(self.baseFilename):
                super().doRollover()
            else:
                self.close()
                self.stream = self._open()
                self.rolloverAt = self.computeRollover(int(time.time()))

    def rotation_filename(self, default_name: str) -> str:
        """Return the name for the rotated file: the day, and a number if the day's name is taken."""
        names = itertools.chain([default_name], (f"{default_name}.{number}" for number in itertools.count(1)))
        return next(name for name in names if not os.path.lexists(name))

    def _open(self) -> TextIOWrapper:
        """Open the file; logging calls this."""
        return self._open_beside(Path(self.baseFilename).name)

    def _open_beside(self, name: str) -> TextIOWrapper:
        """Open a file in the folder of the log, to write at its end."""
        return open(Path(self.baseFilename).with_name(name), "a", encoding=self.encoding, opener=open_mine)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Raise the error with the file's name. From then on, warnings and errors go to stderr only."""
        error = sys.exc_info()[1]
        logging.getLogger("etl").removeHandler(self)
        with suppress(OSError):  # closing would write the rest, and fail again
            self.close()
        if isinstance(error, OSError):
            error.filename = error.filename or self.baseFilename
        if error:
            raise error


class Lenient(LogFile):
    """A log file that may fail: notify.py must tell people even if the log cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Go on without the log."""

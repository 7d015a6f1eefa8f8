"""Logs: everything in logs/<stage>.log and in the run's journal, warnings and worse also on stderr, which cron mails."""

import fcntl
import itertools
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from base.masking import mask
from base.settings import Settings
from notices.journal import JsonFormatter, write_to_journal


def to_stderr(stage: str) -> None:
    """Show warnings and worse as ``load: message``."""
    handler = Terminal(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(Masked(f"{stage}: %(message)s"))
    logging.getLogger("etl").setLevel(logging.INFO)
    logging.getLogger("etl").handlers = [handler]
    write_to_journal(stage, logging.getLogger("etl"))
    # Trouble reaches the stages as exceptions. What paramiko's threads and psycopg2's COPY print besides is not for
    # people, and it may hold a line of a report.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    threading.excepthook = lambda thrown: unasked(thrown.exc_type)
    sys.excepthook = lambda kind, *_: unasked(kind)


def to_file(settings: Settings, stage: str, run_id: str, kind: "type[LogFile] | None" = None) -> None:
    """Write everything to LOG_DIR/<stage>.log, a new file every midnight."""
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    handler = (kind or LogFile)(
        settings.log_dir / f"{stage}.log", "midnight", backupCount=settings.log_keep_days, encoding="utf-8"
    )
    plain = Masked(f"%(asctime)s %(levelname)s {run_id} %(name)s %(message)s")
    handler.setFormatter(JsonFormatter(stage, run_id) if settings.log_format == "json" else plain)
    logging.getLogger("etl").addHandler(handler)


def unasked(kind: type[BaseException]) -> None:
    """Log that a library printed an exception which it raised, or handled, anyway."""
    logging.getLogger("etl.logs").info("a library printed %s", kind.__name__)


class Masked(logging.Formatter):
    """Readable lines, in which no mailbox is."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return mask(super().format(record))


class Terminal(logging.StreamHandler[TextIO]):
    """Writes to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        tqdm.write(self.format(record), file=self.stream)


def inode(path: str) -> int | None:
    """Return the identity of a file, or None if it is gone."""
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return None


class LogFile(TimedRotatingFileHandler):
    """A log file that stops the stage when it cannot be written: a night without a log is no good night."""

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Rotate, unless another run that writes here has done so; nothing that was rotated is overwritten."""
        with Path(self.baseFilename).with_name(".rotate").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.stream and os.fstat(self.stream.fileno()).st_ino == inode(self.baseFilename):
                super().doRollover()
            else:
                self.close()
                self.stream = self._open()
                self.rolloverAt = self.computeRollover(int(time.time()))

    def rotation_filename(self, default_name: str) -> str:
        """Return the name to rotate to: the day, and a number if the day's name is taken."""
        names = itertools.chain([default_name], (f"{default_name}.{number}" for number in itertools.count(1)))
        return next(name for name in names if not Path(name).exists())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Raise what went wrong, naming the file; what is logged after that only goes to stderr."""
        error = sys.exc_info()[1]
        logging.getLogger("etl").removeHandler(self)
        with suppress(OSError):  # what is not written yet cannot be
            self.close()
        if isinstance(error, OSError):
            error.filename = error.filename or self.baseFilename
        if error:
            raise error


class Lenient(LogFile):
    """A log file that may be missing: for telling people that it is."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do without."""

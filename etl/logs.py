"""Logs: everything in logs/<stage>.log, warnings and worse also on stderr, which cron mails."""

import logging
import sys
import threading
from logging.handlers import TimedRotatingFileHandler
from typing import TextIO

from tqdm import tqdm

from settings import Settings

KEEP_DAYS = 30


def to_stderr(stage: str) -> None:
    """Show warnings and worse as ``load: message``."""
    handler = Terminal(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(f"{stage}: %(message)s"))
    logging.getLogger("etl").setLevel(logging.INFO)
    logging.getLogger("etl").handlers = [handler]
    # Trouble reaches the stages as exceptions. What paramiko's threads and psycopg2's COPY print besides is not for
    # people, and it may hold a line of a report.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    threading.excepthook = lambda thrown: unasked(thrown.exc_type)
    sys.excepthook = lambda kind, *_: unasked(kind)


def to_file(settings: Settings, stage: str, run_id: str) -> None:
    """Write everything to LOG_DIR/<stage>.log, a new file every midnight."""
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    handler = LogFile(settings.log_dir / f"{stage}.log", "midnight", backupCount=KEEP_DAYS, encoding="utf-8")
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {run_id} %(name)s %(message)s"))
    logging.getLogger("etl").addHandler(handler)


def unasked(kind: type[BaseException]) -> None:
    """Log that a library printed an exception which it raised, or handled, anyway."""
    logging.getLogger("etl.logs").info("a library printed %s", kind.__name__)


class Terminal(logging.StreamHandler[TextIO]):
    """Writes to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        tqdm.write(self.format(record), file=self.stream)


class LogFile(TimedRotatingFileHandler):
    """A log file that stops the stage when it cannot be written: a night without a log is no good night."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Raise what went wrong, naming the file; what is logged after that only goes to stderr."""
        logging.getLogger("etl").removeHandler(self)
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            error.filename = error.filename or self.baseFilename
        if error:
            raise error

"""Logs: everything in logs/<stage>.log, warnings and worse also on stderr, which cron mails."""

import logging
import sys
from logging.handlers import TimedRotatingFileHandler

from settings import Settings

KEEP_DAYS = 30


def to_stderr(stage: str) -> None:
    """Show warnings and worse as ``load: message``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(f"{stage}: %(message)s"))
    logging.getLogger("etl").setLevel(logging.INFO)
    logging.getLogger("etl").handlers = [handler]


def to_file(settings: Settings, stage: str, run_id: str) -> None:
    """Write everything to LOG_DIR/<stage>.log, a new file every midnight."""
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    handler = TimedRotatingFileHandler(settings.log_dir / f"{stage}.log", "midnight", backupCount=KEEP_DAYS, encoding="utf-8")
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {run_id} %(name)s %(message)s"))
    logging.getLogger("etl").addHandler(handler)

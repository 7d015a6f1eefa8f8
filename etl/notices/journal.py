"""The journal of one run: what people are told of it, kept until they have been (ETL_JOURNAL names the file)."""

import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from base.masking import mask

JOURNAL = "ETL_JOURNAL"


class JsonFormatter(logging.Formatter):
    """One JSON object per record: for collectors of logs, and for the journal."""

    def __init__(self, stage: str, run_id: str = "") -> None:
        super().__init__()
        self._given = {"run": run_id, "stage": stage}

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, run, stage, logger and message, the record's facts, and a traceback if there is one."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            **self._given,
            "logger": record.name,
            "message": mask(record.getMessage()),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            found["traceback"] = mask(self.formatException(record.exc_info))
        return json.dumps(found, ensure_ascii=False)


class Writer(logging.FileHandler):
    """Writes to the journal; one that cannot be written is a pity, and no trouble of the run's."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or do without."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do without."""


def write_to_journal(stage: str, log: logging.Logger) -> None:
    """Have the log written to the run's journal too, if there is one."""
    if path := os.environ.get(JOURNAL):
        handler = Writer(path, encoding="utf-8", delay=True)
        handler.setFormatter(JsonFormatter(stage))
        handler.addFilter(concerns_people)
        log.addHandler(handler)


def concerns_people(record: logging.LogRecord) -> bool:
    """Return whether people are told of a record: of trouble, and of facts."""
    return record.levelno >= logging.WARNING or hasattr(record, "facts")


class Ended(NamedTuple):
    """How a script of the run came to its end."""

    stage: str
    status: int | None  # None: it ended without a word
    seconds: float | None


class Journal(NamedTuple):
    """What a run's scripts said."""

    ended: list[Ended]  # in the order in which they began
    errors: list[str]  # each once
    warnings: list[str]
    facts: dict[str, Any]  # the newest of each name

    @classmethod
    def read(cls, path: Path) -> "Journal":
        """Return what was written; a line that a kill cut short is left out."""
        stages: dict[str, Ended] = {}
        said: dict[str, list[str]] = {"ERROR": [], "WARNING": []}
        facts: dict[str, Any] = {}
        for record in records(path):
            stage = record["stage"]
            stages.setdefault(stage, Ended(stage, None, None))
            if "ended" in record:
                stages[stage] = Ended(stage, record["ended"], record["seconds"])
            if record["level"] in said:
                said[record["level"]].append(f"{stage}: {record['message']}")
            facts |= record
        errors, warnings = (list(dict.fromkeys(texts)) for texts in said.values())
        return cls(list(stages.values()), errors, warnings, facts)


def records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a journal; none if there is no journal."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found

"""The journal of one run: what people are told about the run. ETL_JOURNAL names its file, which is deleted afterwards."""

import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from base.masking import clean, clean_lines

JOURNAL = "ETL_JOURNAL"
MESSAGE_LIMIT = 10_000  # characters of a message in a log: longer than any of ours


class JsonFormatter(logging.Formatter):
    """Writes a log record as one line of JSON, for log collectors and for the journal."""

    def __init__(self, stage: str, run_id: str = "") -> None:
        super().__init__()
        self._common = {"run": run_id, "stage": stage}

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, run, stage, logger and message, then the record's facts, then a traceback if there is one."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            **self._common,
            "logger": record.name,
            "message": clean(record.getMessage(), MESSAGE_LIMIT),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            found["traceback"] = clean_lines(self.formatException(record.exc_info))
        return json.dumps(found, ensure_ascii=False)


class Writer(logging.FileHandler):
    """Writes to the journal. A journal that cannot be written is no trouble for the run."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record if the journal can be written."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore the error."""


def write_to_journal(stage: str, log: logging.Logger) -> None:
    """Write the log to the run's journal too, if there is a journal."""
    if path := os.environ.get(JOURNAL):
        handler = Writer(path, encoding="utf-8", delay=True)
        handler.setFormatter(JsonFormatter(stage))
        handler.addFilter(concerns_people)
        log.addHandler(handler)


def concerns_people(record: logging.LogRecord) -> bool:
    """Return whether a record goes into the journal: warnings, errors, and records with facts."""
    return record.levelno >= logging.WARNING or hasattr(record, "facts")


class End(NamedTuple):
    """How a script of the run ended."""

    stage: str
    status: int | None  # None: killed
    seconds: float | None  # None: killed


class Journal(NamedTuple):
    """What the scripts of a run wrote to the journal."""

    ended: list[End]  # in the order in which the scripts began
    errors: list[str]  # without repetitions
    warnings: list[str]  # without repetitions
    facts: dict[str, Any]  # the last value of each name

    @classmethod
    def read(cls, path: Path) -> "Journal":
        """Return the journal in a file; a line that a kill cut short is left out."""
        stages: dict[str, End] = {}
        said: dict[str, list[str]] = {"ERROR": [], "WARNING": []}
        facts: dict[str, Any] = {}
        for record in records(path):
            stage = record["stage"]
            stages.setdefault(stage, End(stage, None, None))
            if "ended" in record:
                stages[stage] = End(stage, record["ended"], record["seconds"])
            if record["level"] in said:
                said[record["level"]].append(f"{stage}: {record['message']}")
            facts |= record
        errors, warnings = (list(dict.fromkeys(texts)) for texts in said.values())
        return cls(list(stages.values()), errors, warnings, facts)


def records(path: Path) -> list[dict[str, Any]]:
    """Return the records in a journal's file; none if the file cannot be read."""
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

"""The log files: rotated at midnight, even while two runs write to one file."""

import logging
import time
from pathlib import Path

from runtime.logs import LogFile


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("etl", logging.INFO, "", 0, text, (), None)


def test_rotation_loses_nothing_when_two_runs_overlap(tmp_path: Path) -> None:
    both = [LogFile(tmp_path / "load.log", "midnight", backupCount=30, encoding="utf-8") for _ in range(2)]
    for day in range(3):
        for number, handler in enumerate(both):
            handler.handle(record(f"before {day} {number}"))
        for handler in both:
            handler.rolloverAt = int(time.time()) - 1  # midnight has passed
        for number, handler in enumerate(both):
            handler.handle(record(f"after {day} {number}"))
    for handler in both:
        handler.close()
    lines = [text for path in tmp_path.glob("load.log*") for text in path.read_text().splitlines()]
    assert sorted(lines) == sorted(
        f"{when} {day} {number}" for when in ("before", "after") for day in range(3) for number in (0, 1)
    )
    assert len(list(tmp_path.glob("load.log.*"))) == 3
    assert (tmp_path / "load.log").read_text().splitlines() == ["after 2 0", "after 2 1"]


def test_old_files_go(tmp_path: Path) -> None:
    for day in range(10, 20):
        (tmp_path / f"load.log.2013-02-{day}").write_text("old")
    handler = LogFile(tmp_path / "load.log", "midnight", backupCount=3, encoding="utf-8")
    handler.rolloverAt = int(time.time()) - 1
    handler.handle(record("new"))
    handler.close()
    kept = sorted(path.name for path in tmp_path.glob("load.log.*"))
    assert len(kept) == 3
    assert "load.log.2013-02-17" not in kept

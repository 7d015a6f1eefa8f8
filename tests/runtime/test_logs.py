"""The log files: rotated at midnight, even while two runs write to one file."""

import logging
import time
from pathlib import Path

import pytest

from base.trouble import StageError
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


def test_nothing_planted_is_rotated_into(tmp_path: Path) -> None:
    """A link in the place of a rotated file stays as it is; one in the place of the lock is refused."""
    (victim := tmp_path / "victim").write_text("old")
    handler = LogFile(tmp_path / "load.log", "midnight", backupCount=30, encoding="utf-8")
    for number, target in enumerate((victim, tmp_path / "nowhere"), 1):
        handler.rolloverAt = int(time.time()) - 1
        day = time.strftime(handler.suffix, time.localtime(handler.rolloverAt - handler.interval))
        (planted := tmp_path / f"load.log.{day}").unlink(missing_ok=True)
        planted.symlink_to(target)
        handler.handle(record("new"))
        assert planted.is_symlink()
        assert (tmp_path / f"load.log.{day}.{number}").exists()
    (lock := tmp_path / ".rotate").unlink()
    lock.symlink_to(tmp_path / "nowhere")
    handler.rolloverAt = int(time.time()) - 1
    with pytest.raises(StageError, match=r"\.rotate is a link"):
        handler.handle(record("new"))
    assert victim.read_text() == "old"
    assert not (tmp_path / "nowhere").exists()


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

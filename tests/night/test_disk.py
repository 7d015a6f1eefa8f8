"""Disks that are full or cannot be written: status 13, one sentence, nothing half-written, and the next run finishes the work."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.night import Night
from kit.samples import line, report

pytestmark = pytest.mark.root("mount a small disk")
LINES = 30_000  # 2.2 MB; in a zip a fifth of that
SMALL = "128k"


@contextmanager
def small_disk(folder: Path, size: str = SMALL) -> Iterator[None]:
    """Put a disk of that size under the folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def full_night(night: Night) -> Night:
    """A night with a report that does not fit on a small disk, not even compressed."""
    night.deliver("report_1.txt", report(*(line(f"{os.urandom(12).hex()}@example.com") for _ in range(LINES))))
    return night


def fails(night: Night, *parts: str) -> None:
    done = night.run()
    assert done.returncode == 13, done.stderr
    assert "Traceback" not in done.stderr
    assert "Hint: " in done.stderr
    for part in parts:
        assert part in done.stderr
    assert (night.source / "report_1.txt").exists()


def heals(night: Night) -> None:
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert night.sql("select status, rows_loaded from load_file") == [("loaded", LINES)]
    assert night.sql("select sum(visitas_totales) from visitor") == [(LINES,)]
    assert list(night.source.iterdir()) == []
    assert len(list(night.backups.glob("*.zip"))) == 1
    assert not list(night.backups.glob(".*"))


def test_work_directory_full_while_pulling(full_night: Night) -> None:
    with small_disk(full_night.work):
        fails(full_night, "extract: ", "report_1.txt: No space left on device")
        assert full_night.left_in_work() == []
    heals(full_night)


def test_work_directory_full_while_staging(full_night: Night) -> None:
    with small_disk(full_night.work, "3m"):
        fails(full_night, "transform: ", "No space left on device")
        assert full_night.left_in_work() == ["report_1.txt"]
        assert full_night.sql("select 1 from load_file") == []
    heals(full_night)


def test_backup_folder_full(full_night: Night) -> None:
    with small_disk(full_night.backups):
        fails(full_night, "archive: ", ".zip: No space left on device")
        assert list(full_night.backups.iterdir()) == []
        assert full_night.sql("select status, archived_at from load_file") == [("loaded", None)]
    heals(full_night)


def test_backup_folder_read_only(full_night: Night) -> None:
    with small_disk(full_night.backups):
        subprocess.run(["mount", "-o", "remount,ro", full_night.backups], check=True)
        fails(full_night, "archive: ", "Read-only file system")
    heals(full_night)


def test_logs_full(full_night: Night) -> None:
    with small_disk(full_night.logs, "4k"):
        (full_night.logs / "other").write_bytes(b"x" * 4096)
        fails(full_night, "logs", "No space left on device")
    heals(full_night)

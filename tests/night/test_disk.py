"""Disks that are full or cannot be written: status 13, one sentence, nothing half-written, and the next run finishes the work."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from base.files import size_of
from kit.night import Night
from kit.quirks import Quirks
from kit.quirky import serving
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, wait_for

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


def test_no_room_for_one_report(full_night: Night) -> None:
    full_night.deliver("report_2.txt", report(line("a@example.com")))
    with small_disk(full_night.work, "3m"):
        fails(full_night, "extract: ", "report_1.txt: WORK_DIR has no room for it")
        assert full_night.left_in_work() == []
    assert full_night.statuses() == [("report_2.txt", "loaded")]
    assert full_night.run().returncode == 0
    assert full_night.statuses() == [("report_2.txt", "loaded"), ("report_1.txt", "loaded")]


def test_a_server_that_lies_of_a_report_leaves_room_for_others(full_night: Night) -> None:
    others = [f"report_{number}.txt" for number in range(2, 6)]
    for name in others:
        full_night.deliver(name, report(*(line(f"{number}.{name}@example.com") for number in range(1000))))
    full_night.deliver("report_1.txt", b"email\n")
    quirks = Quirks(endless="report_1.txt")
    with small_disk(full_night.work, "3m"), serving(full_night.folder / "server", full_night.source, quirks) as server:
        full_night.settings |= server.settings()
        fails(full_night, "extract: ", "report_1.txt: WORK_DIR has no room for it")
    assert full_night.statuses() == [(name, "loaded") for name in others]


def test_a_disk_that_others_fill_while_a_report_is_pulled(full_night: Night) -> None:
    slow = Quirks(block=50_000, seconds_per_read=0.1)
    with small_disk(full_night.work, "8m"), serving(full_night.folder / "server", full_night.source, slow) as server:
        command, settings = ["bash", str(ETL / "etl.sh")], full_night.environment(**server.settings())
        with subprocess.Popen(command, env=settings, stderr=subprocess.PIPE, text=True) as run:
            wait_for(lambda: size_of(full_night.work / ".report_1.txt.part"))
            filler = full_night.work / "of somebody else"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            said = run.communicate(timeout=PATIENCE)[1]
        filler.unlink()
        assert run.returncode == 13
        assert re.search(
            r"extract: report_1.txt: (it cannot be written to|WORK_DIR has no room) .* Hint: ", said
        )  # it is tried twice
        assert full_night.left_in_work() == []
    heals(full_night)


def test_work_directory_full_while_staging(full_night: Night) -> None:
    with small_disk(full_night.work, "8m"):
        assert full_night.run("extract.py").returncode == 0
        (full_night.work / "of somebody else").write_bytes(bytes(5 << 20))
        fails(full_night, "transform: ", "No space left on device")
        (full_night.work / "of somebody else").unlink()
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

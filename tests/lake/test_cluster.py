"""Nights on a real cluster with a Hive metastore. A worker is killed while it parses, and another while it merges visitors."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kit.cluster import cluster
from kit.lake import MARKS, need_spark, rows_at, spark_settings
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, Postgres, wait_for

pytestmark = MARKS
STAGE = f"""
import os, pathlib, runpy, sys, time
sys.path.insert(0, {str(ETL)!r})
import spark.parse, spark.tables
spark.parse.PIECE = 1 << 18  # small tasks, so that there are many
folder = pathlib.Path.cwd()
def wait(batches):
    (folder / f"merging_{{os.getpid()}}").touch()
    while not (folder / "go_on").exists():
        time.sleep(0.05)
    yield from batches
replace = spark.tables.Branch.replace
spark.tables.Branch.replace = lambda branch, table, rows: replace(branch, table, rows.mapInArrow(wait, rows.schema))
sys.argv = ["lake.py"]
runpy.run_path({str(ETL / "lake.py")!r}, run_name="__main__")
"""
FILES = 16
LINES = 5_000
TABLES = {"statistics": "file_id, line_number", "errors": "file_id, line_number", "visitor": "email"}


def put_reports(night: Night, first: int) -> None:
    """Put the reports where extract would have put them."""
    night.work.mkdir(mode=0o700, exist_ok=True)
    for number in range(first, first + FILES):
        people = [line(f"p{(number * 7 + place) % 9000}@example.com") for place in range(LINES)]
        (night.work / f"report_{number}.txt").write_bytes(report(*people, b"x\n"))


def bring(night: Night, disturb: Callable[[], None]) -> None:
    """Bring the reports into the lake; meanwhile, disturb."""
    with subprocess.Popen(
        [sys.executable, "-c", STAGE], env=night.environment(), cwd=night.folder, stderr=subprocess.PIPE, text=True
    ) as process:
        disturb()
        (night.folder / "go_on").touch()
        _, said = process.communicate(timeout=4 * PATIENCE)
    assert (process.returncode, said) == (0, "")


def assert_same(lake: Night, other: Night) -> None:
    """Assert that the lake has what the other night has in Postgres."""
    files = "select name, status, rows_loaded, rows_rejected, visitors_new, visitors_updated from load_file order by id"
    assert lake.sql(files) == other.sql(files)
    for table, key in TABLES.items():
        (made,) = (lake.folder / "lake").glob(f"**/{table}/metadata")
        newest = max(made.glob("*.metadata.json"))
        assert rows_at(str(newest), table) == other.sql(f"select * from {table} order by {key}"), table


def test_workers_are_killed_while_they_parse_and_while_they_merge(tmp_path: Path, postgres: Postgres) -> None:
    need_spark()
    nights = []
    for name in ("postgres", "spark"):
        (tmp_path / name).mkdir()
        nights.append(Night(tmp_path / name, {"DATABASE_URL": postgres.create(f"cluster_{name}")}))
    by_postgres, by_spark = nights
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster") as running:
        by_spark.settings |= spark_settings(by_spark.folder, running.defaults)

        def kill_in_merge() -> None:
            wait_for(lambda: any(by_spark.folder.glob("merging_*")))
            running.kill_worker(int(next(by_spark.folder.glob("merging_*")).name.removeprefix("merging_")))

        for number, disturb in enumerate([running.kill_worker, kill_in_merge]):
            for night in nights:
                put_reports(night, number * FILES)
            for stage in ("transform.py", "load.py"):
                assert by_postgres.run(stage).returncode == 0
            bring(by_spark, disturb)
            assert_same(by_spark, by_postgres)
            running.start_worker()
            for path in (*by_spark.folder.glob("merging_*"), by_spark.folder / "go_on"):
                path.unlink()

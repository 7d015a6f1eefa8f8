"""Nights on a real cluster with a Hive metastore. A worker is killed while it parses, and another while it merges visitors."""

import subprocess
import sys
from pathlib import Path

from kit.cluster import Cluster, cluster
from kit.lake import marks, need_spark, rows_at, spark_settings
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, Postgres, wait_for

pytestmark = marks("lake")
STAGE = f"""
import os, pathlib, runpy, sys, time
sys.path.insert(0, {str(ETL)!r})
import spark.night, spark.parse, spark.tables
spark.parse.PIECE = 1 << 18  # small tasks, so that there are many
folder, step = pathlib.Path.cwd(), sys.argv[1]
def wait(batches):  # in a worker, in the middle of the step
    (folder / f"at_work_{{os.getpid()}}").touch()
    while not (folder / "go_on").exists():
        time.sleep(0.05)
    yield from batches
if step == "parse":
    parser_of = spark.night.parser_of
    def waiting_parser(tasks):
        parse = parser_of(tasks)
        return lambda batches: wait(parse(batches))
    spark.night.parser_of = waiting_parser
if step == "merge":
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


def bring(night: Night, step: str, running: Cluster) -> None:
    """Bring the reports into the lake; in the middle of the step, kill a worker that is at work on it."""
    command = [sys.executable, "-c", STAGE, step]
    with subprocess.Popen(command, env=night.environment(), cwd=night.folder, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any(night.folder.glob("at_work_*")) or process.poll() is not None)
        running.kill_worker(int(next(night.folder.glob("at_work_*")).name.removeprefix("at_work_")))
        (night.folder / "go_on").touch()
        _, said = process.communicate(timeout=4 * PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert "Lost executor" in (night.logs / "spark.log").read_text()
    for path in (*night.folder.glob("at_work_*"), night.folder / "go_on"):
        path.unlink()


def assert_same(lake: Night, other: Night) -> None:
    """Assert that the lake has what the other night has in Postgres."""
    for columns in ("name, status, rows_loaded, rows_rejected", "sum(visitors_new), sum(visitors_updated)"):
        files = f"select {columns} from (select * from load_file order by id) as file"
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
        for number, step in enumerate(["parse", "merge"]):
            running.start_worker()
            for night in nights:
                put_reports(night, number * FILES)
            for stage in ("transform.py", "load.py"):
                assert by_postgres.run(stage).returncode == 0
            bring(by_spark, step, running)
            assert_same(by_spark, by_postgres)
        asked = by_spark.run("explain", "--email", "p7@example.com", **running.pyiceberg)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        assert "p7@example.com: visits by fecha_envio" in asked.stdout
    asked = by_spark.run("explain", "--email", "p7@example.com", **running.pyiceberg)
    assert asked.returncode == 14
    assert asked.stderr.startswith("explain: the table statistics of the lake cannot be read: ")

"""A night on a real cluster with a Hive metastore, whose worker is killed while it parses."""

import subprocess
import sys
from pathlib import Path

from kit.cluster import cluster
from kit.lake import MARKS, need_spark, rows_at, spark_settings
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, Postgres

pytestmark = MARKS
STAGE = f"""
import runpy, sys
sys.path.insert(0, {str(ETL)!r})
import spark.parse
spark.parse.PIECE = 1 << 18  # small tasks, so that there are many
sys.argv = ["lake.py"]
runpy.run_path({str(ETL / "lake.py")!r}, run_name="__main__")
"""
FILES = 16
LINES = 5_000
TABLES = {"statistics": "file_id, line_number", "errors": "file_id, line_number", "visitor": "email"}


def put_reports(night: Night) -> None:
    """Put the reports where extract would have put them."""
    night.work.mkdir(mode=0o700)
    for number in range(FILES):
        people = [line(f"p{(number * 7 + place) % 9000}@example.com") for place in range(LINES)]
        (night.work / f"report_{number}.txt").write_bytes(report(*people, b"x\n"))


def test_a_worker_is_killed_while_it_parses(tmp_path: Path, postgres: Postgres) -> None:
    need_spark()
    nights = {}
    for name in ("postgres", "spark"):
        (tmp_path / name).mkdir()
        nights[name] = Night(tmp_path / name, {"DATABASE_URL": postgres.create(f"cluster_{name}")})
        put_reports(nights[name])
    for stage in ("transform.py", "load.py"):
        assert nights["postgres"].run(stage).returncode == 0
    night = nights["spark"]
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster") as running:
        night.settings |= spark_settings(night.folder, running.defaults)
        with subprocess.Popen(
            [sys.executable, "-c", STAGE], env=night.environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            running.kill_worker()
            _, said = process.communicate(timeout=4 * PATIENCE)
    assert (process.returncode, said) == (0, "")
    columns = "name, status, rows_loaded, rows_rejected"
    assert night.sql(f"select {columns} from load_file order by id") == nights["postgres"].sql(
        f"select {columns} from load_file order by id"
    )
    for table, key in TABLES.items():
        (made,) = (night.folder / "lake").glob(f"**/{table}/metadata")
        newest = max(made.glob("*.metadata.json"))
        assert rows_at(str(newest), table) == nights["postgres"].sql(f"select * from {table} order by {key}"), table

"""Nights into a lake: what they need, and their tables read by an engine that wrote none of them (PyIceberg, DuckDB)."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest

from base.settings import Settings
from base.workdir import Report, WorkDir
from kit.quick_nights import QuickNights
from kit.servers import ETL, ROOT, Postgres, need
from postgres.database import Database

DEFAULTS = """
spark.master local[2]
spark.driver.bindAddress 127.0.0.1
spark.driver.host localhost
spark.driver.memory 1g
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.shuffle.partitions 2
spark.ui.enabled false
"""
ORDERS = {"statistics": "file_id, line_number", "errors": "file_id, line_number", "visitor": "email"}


def marks(group: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a module with such nights. The modules of a group share a process, and in it one Java."""
    return [
        pytest.mark.lake,
        pytest.mark.xdist_group(group),
        # py4j leaves its sockets to Python, and pyspark asks for distutils.
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        pytest.mark.filterwarnings("ignore:distutils Version classes:DeprecationWarning"),
    ]


def need_spark() -> None:
    """Skip the test if Java or the packages of make lake-setup are missing."""
    if not find_spec("pyspark"):
        pytest.skip("the packages of make lake-setup are not installed")
    need("java")


def spark_settings(folder: Path, defaults: str = DEFAULTS) -> dict[str, str]:
    """Return the variables for small nights of Spark, whose own settings come into the folder."""
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf" / "spark-defaults.conf").write_text(defaults)
    return {
        "ENGINE": "spark",
        "SPARK_CONF_DIR": str(folder / "conf"),
        "PYTHONWARNINGS": "error,ignore::ResourceWarning,ignore::DeprecationWarning",  # of py4j, and of pyspark
        "LANDING_URL": str(folder / "landing"),
        "LAKE_URL": str(folder / "lake"),
    }


def read(settings: Settings, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Return the rows of a table of the lake, in the order of its key."""
    from spark.reading import open_table  # noqa: PLC0415 - of make lake-setup

    return rows_of(open_table(settings, table), table, columns)


def rows_at(metadata: str, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of the table that a file of metadata describes, in the order of its key."""
    from pyiceberg.table import StaticTable  # noqa: PLC0415 - of make lake-setup

    return rows_of(StaticTable.from_metadata(metadata), table, "*")


def rows_of(opened: Any, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Return the rows of an opened table, in the order of its key."""
    import duckdb  # noqa: PLC0415 - of make lake-setup

    with closing(duckdb.connect()) as connection:
        connection.register("rows", opened.scan().to_arrow())
        return connection.execute(f"select {columns} from rows order by {ORDERS[table]}").fetchall()


class Stopped(BaseException):
    """The night ends here, as if it were killed."""


def stop() -> NoReturn:
    """End the night."""
    raise Stopped


def stop_after(patch: pytest.MonkeyPatch, place: str, call: int, stop: Callable[[], NoReturn] = stop) -> None:
    """Have the night stop after this call of a function."""
    module_name, _, path = place.partition(":")
    owner: Any = import_module(module_name)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    done: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def stopping(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        result = done(*arguments)
        if calls == call:
            if module_name == "postgres.decision":
                arguments[0].connection.commit()
            stop()
        return result

    patch.setattr(owner, name, stopping)


KILLED = f"""
import os, runpy, signal, sys
sys.path[:0] = [{str(ETL)!r}, {str(ROOT / "tests")!r}]
import pytest
from kit.lake import stop_after
place, call = sys.argv[1:]
stop_after(pytest.MonkeyPatch(), place, int(call), lambda: os.kill(os.getpid(), signal.SIGKILL))
sys.argv = ["lake.py"]
runpy.run_path({str(ETL / "lake.py")!r}, run_name="__main__")
"""


class LakeNights(QuickNights):
    """Quick nights with ENGINE=spark, in one Java for all nights of this process."""

    def __init__(self, folder: Path, database: str) -> None:
        super().__init__(folder, database)
        made = spark_settings(folder)
        os.environ["SPARK_CONF_DIR"] = made["SPARK_CONF_DIR"]
        self.more = {name.lower(): made[name] for name in ("ENGINE", "LANDING_URL", "LAKE_URL")} | {
            "log_dir": str(folder / "log")
        }
        (folder / "log").mkdir()

    def load(self, files: list[bytes], as_of: date, event: str, error_rate: float = 1.0) -> None:
        """Bring the files into the lake; without files only the counters move."""
        from spark.exactly_once import bring  # noqa: PLC0415 - of make lake-setup

        self.name_lake()
        settings = self.settings(as_of, event, error_rate)
        with closing(Database(settings)) as database:
            bring(self.put(files), database, self.next_run(), settings)

    def put(self, files: list[bytes]) -> list[Report]:
        """Put the files into the work directory, as the next reports."""
        work = WorkDir(self.settings())
        reports = []
        for content in files:
            self.files += 1
            reports.append(work.report(f"report_{self.files}.txt"))
            reports[-1].path.write_bytes(content)
        return reports

    def kill(self, files: list[bytes], as_of: date, place: str, call: int) -> None:
        """Bring the files into the lake in a process of its own, which is killed after this call of a function."""
        self.put(files)
        environment = os.environ | self.environment() | {"AS_OF": str(as_of), "PYTHONWARNINGS": "default"}
        done = subprocess.run(
            [sys.executable, "-c", KILLED, place, str(call)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    def begin_anew(self) -> None:
        """Have no lake, and a load log that knows none."""
        shutil.rmtree(self.more["lake_url"])
        self.sql("delete from lake_night")

    def name_lake(self) -> None:
        """Have a Java that runs already use this lake: it has read its settings once."""
        from pyspark import SparkContext  # noqa: PLC0415 - of make lake-setup

        if SparkContext._jvm:
            SparkContext._jvm.java.lang.System.setProperty("spark.sql.catalog.lake.warehouse", f"file://{self.more['lake_url']}")

    def read(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """Return the rows of a table of the lake."""
        return read(self.settings(), table, columns)

    def branches(self, table: str) -> list[str]:
        """Return the names of a table's branches."""
        from spark.reading import open_table  # noqa: PLC0415

        return sorted(open_table(self.settings(), table).refs())


def both_engines(factory: pytest.TempPathFactory, postgres: Postgres, name: str) -> Iterator[tuple[QuickNights, LakeNights]]:
    """Give nights of both engines, each with a database of its own: for a fixture."""
    need_spark()
    names = (f"{name}_postgres", f"{name}_lake")
    databases = [postgres.create(each) for each in names]
    yield QuickNights(factory.mktemp(names[0]), databases[0]), LakeNights(factory.mktemp(names[1]), databases[1])
    for each in names:
        postgres.drop(each)

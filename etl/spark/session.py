"""The session of Spark, and which trouble is Spark's."""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from base import trust
from base.masking import clean
from base.settings import Settings
from base.trouble import StageError, Status

LOG = "spark.log"  # in LOG_DIR: what Spark says in one night
ALWAYS = {"spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"}
LOCAL = {  # where Spark's own settings name no master
    "spark.master": "local[*]",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.authenticate": "true",  # other users of this machine are kept out
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": str(os.cpu_count()),
}
FILES = {  # a catalog that needs no server: where Spark's own settings name no catalog
    "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.lake.type": "hadoop",
}


def verify(settings: Settings) -> None:
    """Raise StageError if packages for ENGINE=spark are missing, or if another user could have changed what its folders hold."""
    if not find_spec("pyspark"):
        raise StageError(Status.SETTINGS, "ENGINE=spark needs packages that are not installed.", "make lake-setup installs them.")
    for name, url in (("LANDING_URL", settings.landing_url), ("LAKE_URL", settings.lake_url)):
        if folder := folder_of(url):
            trust.verify(name, folder)


def start(settings: Settings, log: str = LOG) -> Any:
    """Start Spark and return its session. Raise StageError if Spark does not start. What Spark says goes to LOG_DIR/``log``."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - not installed for ENGINE=postgres

    java = os.environ.get("JAVA_HOME")
    if not shutil.which(f"{java}/bin/java" if java else "java"):
        raise StageError(Status.SETTINGS, "Java is not found.", "install Java 17 (headless), or set JAVA_HOME.")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with trouble_named(), properties_file(settings) as path, said_to(settings.log_dir / log):
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {shlex.quote(path)} pyspark-shell"
        session = SparkSession.builder.appName("visitas").getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")  # Java's old calendar has another idea of early local times
    return session


@contextmanager
def properties_file(settings: Settings) -> Iterator[str]:
    """Write the settings that Spark is started with to a file, and give its path."""
    with tempfile.NamedTemporaryFile("w", prefix="spark_", suffix=".conf") as file:
        file.write(properties(settings))
        file.flush()
        yield file.name


def spark_home() -> Path:
    """Return where Spark is: SPARK_HOME, or the installed package."""
    from pyspark.find_spark_home import _find_spark_home  # noqa: PLC0415 - as pyspark itself looks for it

    return Path(_find_spark_home())


def properties(settings: Settings) -> str:
    """Return the settings that Spark is started with: ours, and then its own ``spark-defaults.conf``, whose words win."""
    path = Path(os.environ.get("SPARK_CONF_DIR") or spark_home() / "conf") / "spark-defaults.conf"
    theirs = path.read_text() if path.exists() else ""
    ours = ALWAYS | {"spark.sql.catalog.lake.warehouse": address(settings.lake_url)}
    ours |= {} if sets(theirs, "spark.master") else LOCAL
    ours |= {} if sets(theirs, "spark.sql.catalog.lake") else FILES
    package = find_spec("snowpark_connect_deps_iceberg")
    if package and "SPARK_HOME" not in os.environ:  # a Spark of your own has its own jar
        (jar,) = Path(str(package.origin)).parent.glob("jars/iceberg-spark-runtime-3.5_2.12-*.jar")
        ours |= {"spark.jars": str(jar)}
    return "".join(f"{name} {value}\n" for name, value in ours.items()) + theirs


def sets(properties: str, name: str) -> bool:
    """Return whether the text of a file of properties sets this one."""
    return re.search(rf"^\s*{re.escape(name)}[\s=:]", properties, re.MULTILINE) is not None


def address(url: str) -> str:
    """Return a path of this machine as an address; an address stays as it is."""
    return url if "://" in url else f"file://{url}"


def folder_of(url: str) -> Path | None:
    """Return the folder of this machine that an address names; None: it names none."""
    path = url.removeprefix("file://")
    return None if "://" in path else Path(path)


@contextmanager
def said_to(path: Path) -> Iterator[None]:
    """Have the processes that the block starts write to a file what they would write to the terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        path.replace(path.with_suffix(".log.1"))
    with open(path, "xb", opener=trust.open_mine) as file:
        kept = [os.dup(1), os.dup(2)]
        try:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            yield
        finally:
            for descriptor, copy in enumerate(kept, 1):
                os.dup2(copy, descriptor)
                os.close(copy)


@contextmanager
def trouble_named() -> Iterator[None]:
    """Name the trouble behind the errors of Spark and of its way to Java."""
    from py4j.protocol import Py4JError  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (Py4JError, PySparkException, ConnectionError) as error:
        raise trouble(f"Spark failed: {clean(cause(str(error))).removesuffix('.')}.") from error


def cause(said: str) -> str:
    """Return the deepest cause that Java names, or the one around it that says more."""
    causes: list[str] = re.findall(r"^(?:Caused by)?: (.+)", said, re.MULTILINE)
    while len(causes) > 1 and causes[-1].partition(": ")[2] in causes[-2]:
        causes.pop()
    return causes[-1] if causes else said


def trouble(fact: str, hint: str = "Spark's log in LOG_DIR says more; the next run goes on from here.") -> StageError:
    """Return trouble of the cluster."""
    return StageError(Status.CLUSTER, fact, hint)

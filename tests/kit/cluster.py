"""A cluster on this machine: Spark's own master with workers, and a Hive metastore, as processes of their own."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from kit.servers import free_port, wait_for

HIVE_SITE = """<configuration>
<property><name>javax.jdo.option.ConnectionURL</name><value>jdbc:derby:;databaseName={folder}/derby;create=true</value></property>
<property><name>datanucleus.schema.autoCreateAll</name><value>true</value></property>
<property><name>hive.metastore.schema.verification</name><value>false</value></property>
</configuration>
"""
# The metastore makes its tables itself, without those of locks: Iceberg must not ask for a lock there.
DEFAULTS = """
spark.master spark://127.0.0.1:{master}
spark.driver.host 127.0.0.1
spark.driver.memory 1g
spark.executor.memory 600m
spark.ui.enabled false
spark.sql.shuffle.partitions 4
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.executor.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.sql.catalog.lake org.apache.iceberg.spark.SparkCatalog
spark.sql.catalog.lake.type hive
spark.sql.catalog.lake.uri thrift://127.0.0.1:{metastore}
spark.sql.catalog.lake.hadoop.iceberg.engine.hive.lock-enabled false
"""


class Cluster:
    """A running cluster."""

    def __init__(self, ports: dict[str, int], start: Callable[[int], psutil.Process], joined: Callable[[], int]) -> None:
        self.defaults = DEFAULTS.format(**ports)  # settings of a Spark that uses it
        self._start = start  # starts a worker of this number
        self._joined = joined  # how many workers have joined so far
        self.pyiceberg = {
            "PYICEBERG_CATALOG__LAKE__URI": f"thrift://127.0.0.1:{ports['metastore']}",
            "PYICEBERG_CATALOG__LAKE__TYPE": "hive",
        }
        self.workers: list[psutil.Process] = []

    def start_worker(self) -> None:
        """Start one more worker, and wait until it has joined."""
        self.workers.append(self._start(len(self.workers)))
        wait_for(lambda: self._joined() == len(self.workers))

    def kill_worker(self, pid: int) -> None:
        """Kill the worker that this process belongs to, with all that it has started, as a power cut would."""
        for worker in self.workers:
            below = worker.children(recursive=True)
            if pid in (process.pid for process in below):
                for process in [*below, worker]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run a cluster, whose files come into the folder."""
    from spark.session import spark_home  # noqa: PLC0415 - of make lake-setup

    (folder / "conf").mkdir()
    (folder / "conf" / "hive-site.xml").write_text(HIVE_SITE.format(folder=folder))
    ports = {"master": free_port(), "metastore": free_port()}
    environment = {
        "PATH": os.environ["PATH"],
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    selector = "-Dlog4j2.contextSelector=org.apache.logging.log4j.core.selector.ClassLoaderContextSelector"

    with ExitStack() as stack:

        def start(name: str, main: str, *arguments: str, **more: str) -> psutil.Process:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            command = [str(spark_home() / "bin" / "spark-class"), main, *arguments]
            process = subprocess.Popen(
                command, env=environment | more, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return psutil.Process(process.pid)

        address = ("--host", "127.0.0.1", "--webui-port", "0")
        start("master", "org.apache.spark.deploy.master.Master", *address, "--port", str(ports["master"]))
        start(
            "metastore",
            "org.apache.hadoop.hive.metastore.HiveMetaStore",
            "-p",
            str(ports["metastore"]),
            JDK_JAVA_OPTIONS=selector,
        )
        wait_for(lambda: all(is_open(port) for port in ports.values()))
        of_worker = (*address, "--cores", "1", "--memory", "700m", f"spark://127.0.0.1:{ports['master']}")
        worker = "org.apache.spark.deploy.worker.Worker"
        made = Cluster(
            ports,
            lambda number: start(f"worker{number}", worker, "--work-dir", str(folder / f"work{number}"), *of_worker),
            lambda: (folder / "master.log").read_text().count("Registering worker"),
        )
        made.start_worker()
        yield made


def is_open(port: int) -> bool:
    """Return whether a port of the loopback takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

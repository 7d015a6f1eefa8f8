"""Measure ENGINE=spark: processor time and memory for one file of three million lines, and Postgres for the same beside it."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.table import Table

from kit.lake import spark_settings
from kit.night import Night
from kit.servers import ETL, Postgres

LINES = 3_000_000  # 246 MB: four pieces
LEAST = 20_000  # lines for each second of a processor
LOOK_EVERY = 0.2  # seconds


class Cost(NamedTuple):
    """What a command took, with all processes below it and those of its Postgres."""

    wall: float  # seconds
    processor: float  # seconds
    memory: float  # MB, peak of the sum


def cost(command: list[str], environment: dict[str, str], server: int) -> Cost:
    """Run a command and return what it took; ``server`` is the process id of Postgres."""
    seconds: dict[int, float] = {}
    before = processor_seconds(server)
    memory = 0.0
    started = time.monotonic()
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None:
            seconds |= processor_seconds(process.pid) | processor_seconds(server)
            memory = max(memory, memory_of(process.pid))
            time.sleep(LOOK_EVERY)
    assert process.returncode == 0, command
    spent = sum(total - before.get(pid, 0) for pid, total in seconds.items())
    return Cost(time.monotonic() - started, spent, memory)


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def processor_seconds(pid: int) -> dict[int, float]:
    """Return the processor time so far, in seconds, of a process and all below it."""
    found = {}
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def memory_of(pid: int) -> float:
    """Return the memory now, in MB, of a process and all below it; what they share counts for each."""
    total = 0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6


def measure(folder: Path, postgres: Postgres, report: Path) -> Table:
    """Return a table of both engines' costs for the report."""
    server = int((postgres.folder / "postmaster.pid").read_text().split()[0])
    made = Table("engine", "stage", *("wall s", "processor s", "s a million", "lines/s and core", "MB"))
    for engine, stages in (("postgres", ("transform", "load")), ("spark", ("lake",))):
        (own := folder / engine).mkdir()
        settings = spark_settings(own) if engine == "spark" else {}
        night = Night(own, {"DATABASE_URL": postgres.create(f"lake_{engine}"), **settings})
        night.work.mkdir(mode=0o700)
        (night.work / report.name).write_bytes(report.read_bytes())
        costs = [cost([sys.executable, str(ETL / f"{stage}.py")], night.environment(), server) for stage in stages]
        total = sum(one.processor for one in costs)
        for stage, one in zip(stages, costs, strict=True):
            row = (one.wall, one.processor, one.processor / LINES * 1e6, LINES / one.processor, one.memory)
            made.add_row(engine, stage, *(f"{figure:,.0f}" for figure in row))
        assert night.sql("select sum(rows_read) from load_file") == [(LINES,)]
        if engine == "spark":
            print(f"lines for each second of a processor: {LINES / total:,.0f}, goal at least {LEAST:,}")
    return made

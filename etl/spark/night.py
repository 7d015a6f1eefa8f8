"""A night on its way into the lake: lines are parsed, written to a branch, and compared with what was parsed."""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from base.settings import ROOT
from postgres.ledger import Basis
from spark.parse import ERRORS, LINES, STATISTICS, Part, parser_of, tasks_of
from spark.session import trouble
from spark.tables import Branch, statement, sums

AGAIN = "run again; if that ends alike, keep the lake as it is, and ask the developers."
SHIPPED = ("base", "parsing", "spark")  # packages that the workers import from


class Counted(NamedTuple):
    """How many lines of a report there are."""

    loaded: int = 0
    rejected: int = 0
    passed_over: int = 0  # no records, or erased


class WholeFault(NamedTuple):
    """The fault of a whole file: a row for errors."""

    file_id: int
    line_number: int
    codes: list[str]
    message: str
    raw_line: str | None  # None: it names a person who was forgotten


class Night:
    """The lines of tonight's reports, and the branch that takes them."""

    def __init__(self, session: SparkSession, branch: Branch, parts: Collection[Part], first_id: int) -> None:
        """``first_id`` is the lowest file id of the night: no older row has it, or a higher one."""
        self._session = session
        self.branch = branch
        self._is_tonight = sql.col("file_id") >= first_id
        self._lines = parse(session, parts).persist()
        self._visitors: DataFrame | None = None

    def count(self) -> dict[int, Counted]:
        """Return the numbers of lines by file id."""
        return count_lines(self._lines)

    def choose(self, loaded: list[int], kept: list[int], more: list[WholeFault]) -> None:
        """Take the lines of the files that are ``loaded``, the faults of those that are ``kept``, and ``more`` faults."""
        self._loaded = self._lines.where(sql.col("email").isNotNull() & sql.col("file_id").isin(loaded)).select(*STATISTICS)
        faulty = self._lines.where(sql.col("codes").isNotNull() & sql.col("file_id").isin(kept)).select(*ERRORS)
        schema = ", ".join(f"{name} {kind}" for name, kind in ERRORS.items())
        self._rejected = faulty.union(self._session.createDataFrame(more, schema))

    def write_lines(self) -> None:
        """Write the lines to the branch."""
        self.branch.append("statistics", self._loaded)
        self.branch.append("errors", self._rejected)

    def count_visits(self, basis: Basis, recount: bool) -> dict[int, tuple[int, int]]:
        """Write the visitors to the branch; return how many each file brought, and how many it found.

        ``recount`` counts the visits of older nights anew too.
        """
        before = self._session.table("lake.visitas.visitor")
        if recount:
            before = count_all(self._session, self._session.table("lake.visitas.statistics"), basis).persist()
        visits = visits_of(self._session, self._loaded, basis).persist()
        self._visitors = add_visits(self._session, before, visits).persist()
        self.branch.replace("visitor", self._visitors)
        return {file_id: (new, found) for file_id, new, found in self._session.sql(statement("lake/visitors_of_files")).collect()}

    def audit(self) -> None:
        """Read the branch back and compare it with what was parsed and counted; raise StageError if they differ."""
        for table, written in (("statistics", self._loaded), ("errors", self._rejected)):
            there = self.branch.read(table)
            older = self._session.table(f"lake.visitas.{table}").count()
            tonight = sums(there.where(self._is_tonight), "file_id")
            is_whole = there.count() == older + sum(count for count, _ in tonight.values())
            if tonight != sums(written, "file_id") or not is_whole or self.branch.operations(table) - {"append"}:
                raise trouble(f"what was written to {table} is not what was read from the reports, so nothing was loaded.", AGAIN)
        self.branch.operations("visitor")
        if self._visitors is not None and sums(self.branch.read("visitor")) != sums(self._visitors):
            raise trouble("what was written to visitor is not what was counted, so nothing was loaded.", AGAIN)

    def campaigns(self) -> list[tuple[Any, ...]]:
        """Return the rows for load_campaign."""
        self._loaded.createOrReplaceTempView("lines")
        return [tuple(row) for row in self._session.sql(statement("lake/campaigns")).collect()]

    def rejects(self) -> list[tuple[Any, ...]]:
        """Return the rows for load_reject, each with the first line of its code."""
        self._rejected.createOrReplaceTempView("rejected")
        return [tuple(row) for row in self._session.sql(statement("lake/rejects")).collect()]


def parse(session: SparkSession, parts: Collection[Part]) -> DataFrame:
    """Return the lines that the workers find in the parts, as rows of LINES."""
    tasks = tasks_of(parts)
    numbers = session.range(0, len(tasks), 1, max(len(tasks), 1))
    return numbers.mapInArrow(parser_of(tasks), ", ".join(f"{name} {kind}" for name, kind in LINES.items()))


def count_lines(lines: DataFrame) -> dict[int, Counted]:
    """Return how many lines there are, by file id."""
    found = lines.groupBy("file_id").agg(sql.count("email"), sql.count("codes"), sql.sum("passed_over")).collect()
    return {file_id: Counted(*numbers) for file_id, *numbers in found}


def visits_of(session: SparkSession, lines: DataFrame, basis: Basis) -> DataFrame:
    """Return the visits of lines, summed up by file and address."""
    lines.createOrReplaceTempView("lines")
    return session.sql(statement("lake/visits"), {"as_of": str(basis[0]), "visit_event": basis[1]})


def add_visits(session: SparkSession, before: DataFrame, visits: DataFrame) -> DataFrame:
    """Return the visitors, once the visits are added to the visitors before."""
    before.createOrReplaceTempView("before")
    visits.createOrReplaceTempView("visits")
    return session.sql(statement("lake/visitors"))


def count_all(session: SparkSession, lines: DataFrame, basis: Basis) -> DataFrame:
    """Return the visitors that a full count of lines gives."""
    nobody = session.table("lake.visitas.visitor").limit(0)
    return add_visits(session, nobody, visits_of(session, lines, basis))


def ship(session: SparkSession, folder: Path) -> None:
    """Give the workers the modules that they import; ``folder`` is for the file that holds them."""
    path = folder / "etl.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for package in SHIPPED:
            for module in (ROOT / "etl" / package).glob("*.py"):
                archive.write(module, f"{package}/{module.name}")
    session.sparkContext.addPyFile(str(path))

"""The tables of the lake, and the branch of them that one night writes."""

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from postgres.statements import query
from spark.session import trouble

TABLES = ("statistics", "errors", "visitor")  # in the order in which they are published
MAIN = "main"
NOT_OURS = "nothing but this program may change these tables; see who does, then run again."
NIGHT, IMPORT = "night_", "import_"  # how the names of our branches begin


def statement(name: str) -> str:
    """Return the statement in ``sql/<name>.sql``: Spark wants no semicolon."""
    return query(name).removesuffix(";")


def make_tables(session: SparkSession) -> None:
    """Make the tables that are not there."""
    session.sql("create namespace if not exists lake.visitas")
    for text in (statement("lake/statistics"), statement("lake/errors"), statement("lake/visitor")):
        session.sql(text)


def branches(session: SparkSession, table: str) -> list[str]:
    """Return the names of a table's branches."""
    found = session.table(f"lake.visitas.{table}.refs").where("type = 'BRANCH'").select("name").collect()
    return [name for (name,) in found]


def publish(session: SparkSession, branch: str) -> None:
    """Show readers what was written to the branch. Safe to repeat until the branch is dropped."""
    for table in TABLES:
        publish_table(session, table, branch)


def publish_table(session: SparkSession, table: str, branch: str) -> None:
    """Show readers what was written to the branch of one table."""
    session.sql(f"call lake.system.fast_forward('visitas.{table}', '{MAIN}', '{branch}')").collect()


def drop_branches(session: SparkSession) -> None:
    """Drop every branch of ours: what was decided is published, and nothing else counts."""
    for table in TABLES:
        for name in branches(session, table):
            if name.startswith((NIGHT, IMPORT)):
                drop_branch(session, table, name)


def drop_branch(session: SparkSession, table: str, name: str) -> None:
    """Drop a branch of one table."""
    session.sql(f"alter table lake.visitas.{table} drop branch `{name}`")


class Branch:
    """A branch of all tables. Readers see nothing of it until it is published."""

    def __init__(self, session: SparkSession, name: str) -> None:
        self._session = session
        self.name = name
        for table in TABLES:
            session.sql(f"alter table lake.visitas.{table} create branch `{name}`")

    def read(self, table: str) -> DataFrame:
        """Return the rows of a table, those of the branch included."""
        return self._session.read.option("branch", self.name).table(f"lake.visitas.{table}")

    def operations(self, table: str) -> set[str]:
        """Return in what ways the branch changed a table: ``append``, ``overwrite``.

        Raise StageError unless the branch goes on from what readers see: then it could not be published.
        """
        heads = dict(self._session.table(f"lake.visitas.{table}.refs").select("name", "snapshot_id").collect())
        snapshots = self._session.table(f"lake.visitas.{table}.snapshots").select("snapshot_id", "parent_id", "operation")
        steps = {snapshot: (parent, operation) for snapshot, parent, operation in snapshots.collect()}
        snapshot, found = heads[self.name], set()
        while snapshot != heads.get(MAIN):
            if snapshot not in steps:
                raise trouble(f"somebody else has changed the table {table} tonight, so nothing was loaded.", NOT_OURS)
            snapshot, operation = steps[snapshot]
            found.add(operation)
        return found

    def append(self, table: str, rows: DataFrame) -> None:
        """Add rows to a table."""
        rows.writeTo(f"lake.visitas.{table}.`branch_{self.name}`").append()

    def replace(self, table: str, rows: DataFrame) -> None:
        """Replace all rows of a table."""
        rows.writeTo(f"lake.visitas.{table}.`branch_{self.name}`").overwrite(sql.lit(True))


def sums(rows: DataFrame, *by: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the number of rows, and a sum over all their values, in all or ``by`` columns: it tells one altered value."""
    values = [sql.col(name) for name in sorted(rows.columns)]
    of_row = sql.xxhash64(*values, *(value.isNull() for value in values)).cast("decimal(38)")  # NULL alone changes no hash
    found = rows.groupBy(*by).agg(sql.count("*"), sql.sum(of_row)).collect()
    return {tuple(row)[: len(by)]: tuple(row)[len(by) :] for row in found}

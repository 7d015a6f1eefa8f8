"""Keeping the lake in shape: few and large files, and none that nobody needs."""

from pyspark.sql import SparkSession

from spark.tables import TABLES


def maintain(session: SparkSession) -> dict[str, tuple[int, int]]:
    """Join small files, and drop snapshots and files that nothing needs; return how many data files each table had, and has.

    Iceberg's own limits: snapshots older than five days go, and orphans older than three.
    """
    counts = {}
    for table in TABLES:
        before = files(session, table)
        for call in (
            f"rewrite_data_files(table => 'visitas.{table}')",
            f"expire_snapshots(table => 'visitas.{table}')",
            f"remove_orphan_files(table => 'visitas.{table}')",
        ):
            session.sql(f"call lake.system.{call}").collect()
        counts[table] = before, files(session, table)
    return counts


def files(session: SparkSession, table: str) -> int:
    """Return how many data files readers of a table read."""
    return int(session.table(f"lake.visitas.{table}.files").count())

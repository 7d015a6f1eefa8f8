"""Moving in: the history of Postgres into the lake, in one branch, counted against the load log."""

import tempfile
from contextlib import closing

import pyarrow as pa
from psycopg2.extensions import cursor
from pyarrow import csv, parquet
from pyspark.sql import SparkSession
from pyspark.sql import functions as sql

from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from postgres import decision, ledger, migrations
from postgres.database import Database
from postgres.ledger import Basis
from postgres.statements import one, query, rows
from spark.exactly_once import Lake
from spark.landing import Landing
from spark.night import count_all
from spark.parse import ARROW, ERRORS, STATISTICS
from spark.session import address, trouble, trouble_named
from spark.tables import IMPORT, TABLES, Branch, statement

AS_COPY_WRITES = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": False}


def move_in(database: Database, run: Run, settings: Settings) -> dict[str, int]:
    """Bring the history into an empty lake; return how many rows each table has. Done whole or not at all, by one run or two."""
    state = database.run(begin, run, settings)
    landing = Landing(settings.landing_url)
    landing.clear()
    if not state.unpublished:
        land_history(database, landing)
    with trouble_named(), closing(Lake(database, run, settings)) as lake:
        lake.finish(state.unpublished)
        if not state.unpublished:
            assert state.basis  # there is a history
            branch = Branch(lake.session, IMPORT + run.id)
            write(lake.session, branch, landing, state.basis)
            compare(lake.session, branch, database)
            database.run(decision.decide_branch, run, branch.name)
            lake.publish([branch.name])
        counts = {table: lake.session.table(f"lake.visitas.{table}").count() for table in TABLES}
    landing.clear()
    return counts


def begin(cursor: cursor, run: Run, settings: Settings) -> decision.State:
    """Enter the run, and return what is there. Raise StageError unless the history is in Postgres, or on its way."""
    migrations.verify(cursor)
    has_lake, has_history = one(cursor, "load/lake_in_use")
    state = decision.state(cursor)
    if not has_history or (has_lake and not state.unpublished):
        fact = "there is no history yet." if not has_history else "the history is in the lake already."
        raise StageError(Status.SETTINGS, fact, "the next night of ENGINE=spark needs no import.")
    ledger.open_run(cursor, run, settings)
    return state


def land_history(database: Database, landing: Landing) -> None:
    """Copy statistics and errors to the landing folder, as Parquet files."""
    statistics = {name: ARROW[kind] for name, kind in STATISTICS.items()}
    errors = {name: ARROW[kind] for name, kind in ERRORS.items()} | {"codes": pa.string()}
    copies = {
        "statistics": (query("commands/import_statistics"), statistics),
        "errors": (query("commands/import_errors"), errors),
    }
    for table, (text, types) in copies.items():
        database.run(land, text, types, landing, table)


def land(cursor: cursor, text: str, types: dict[str, pa.DataType], landing: Landing, table: str) -> None:
    """Write the rows that a COPY statement gives to a Parquet file of this name."""
    with (
        tempfile.TemporaryFile() as file,
        landing.open(table) as target,
        parquet.ParquetWriter(target, pa.schema(types.items())) as writer,
    ):
        cursor.copy_expert(text, file)
        if file.tell():  # Arrow reads no empty file
            file.seek(0)
            names, lines = csv.ReadOptions(column_names=[*types]), csv.ParseOptions(newlines_in_values=True)
            for batch in csv.open_csv(file, names, lines, csv.ConvertOptions(column_types=types, **AS_COPY_WRITES)):
                writer.write_batch(batch)


def write(session: SparkSession, branch: Branch, landing: Landing, basis: Basis) -> None:
    """Write the landed rows to the branch, and count the visitors anew."""
    for table in ("statistics", "errors"):
        landed = session.read.parquet(address(landing.url(table)))
        branch.append(table, landed if table == "statistics" else landed.withColumn("codes", sql.split("codes", ",")))
    branch.replace("visitor", count_all(session, branch.read("statistics"), basis))


def compare(session: SparkSession, branch: Branch, database: Database) -> None:
    """Raise StageError if the branch has not the lines of each file that Postgres counts, or other visitors."""
    there = [dict(branch.read(table).groupBy("file_id").count().collect()) for table in ("statistics", "errors")]
    for file_id, *counts in database.run(rows, "commands/import_counts"):
        if counts != [found.pop(file_id, 0) for found in there]:
            raise trouble(f"file {file_id} has other numbers of lines in the lake than in Postgres, so nothing was moved.")
    branch.read("visitor").createOrReplaceTempView("visitors")
    (sums,) = session.sql(statement("lake/sums")).collect()
    if any(there) or tuple(sums) != database.run(one, "commands/import_sums"):
        raise trouble("the visitors or the files in the lake are not those of Postgres, so nothing was moved.")

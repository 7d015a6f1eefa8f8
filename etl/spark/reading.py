"""Reading the lake without Java, by PyIceberg: for people's questions."""

import tempfile
from typing import Any

import pyarrow as pa
from psycopg2.extensions import cursor
from pyarrow import csv
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, And, EqualTo, In
from pyiceberg.table import StaticTable
from pyiceberg.utils.config import Config

from base.settings import Settings
from base.trouble import StageError, Status
from postgres.statements import query
from spark.session import address

EVERYTHING = {"statistics": AlwaysTrue(), "errors": AlwaysTrue(), "visitor": AlwaysTrue()}


def of_address(email: str) -> dict[str, Any]:
    """Return what to show of a visitor."""
    return {"statistics": EqualTo("email", email), "errors": AlwaysFalse(), "visitor": EqualTo("email", email)}


def of_line(file_ids: list[int], line_number: int) -> dict[str, Any]:
    """Return what to show of a line of these files."""
    line = And(In("file_id", file_ids), EqualTo("line_number", line_number))
    return {"statistics": line, "errors": line, "visitor": AlwaysFalse()}


def show_in_session(cursor: cursor, settings: Settings, wanted: dict[str, Any]) -> None:
    """Show this session of Postgres the rows of the lake that are wanted, where its own tables are: statements stay as they are.

    The rows come into temporary tables with the names of the tables, which hide them until the session ends.
    """
    cursor.execute(query("commands/lake_tables"))
    copies = {
        "statistics": query("commands/lake_statistics"),
        "errors": query("commands/lake_errors"),
        "visitor": query("commands/lake_visitor"),
    }
    for name, rows in wanted.items():
        with tempfile.TemporaryFile() as file:
            for batch in open_table(settings, name).scan(row_filter=rows).to_arrow_batch_reader():
                csv.write_csv(without_lists(batch), file, csv.WriteOptions(include_header=False))
            file.seek(0)
            cursor.copy_expert(copies[name], file)


def without_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows with lists as Postgres writes arrays."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            texts = pa.array(["{" + ",".join(codes) + "}" for codes in batch.column(place).to_pylist()], pa.string())
            batch = batch.set_column(place, field.name, texts)
    return batch


def open_table(settings: Settings, name: str) -> Any:
    """Return a table of the lake, as readers see it now.

    If PyIceberg's own settings (``.pyiceberg.yaml``, ``PYICEBERG_CATALOG__LAKE__URI``) have a catalog ``lake``, that catalog is
    asked; else the files at LAKE_URL. Raise StageError if the table is not there.
    """
    try:
        if Config().get_catalog_config("lake"):
            return load_catalog("lake").load_table(f"visitas.{name}")
        return StaticTable.from_metadata(f"{address(settings.lake_url)}/visitas/{name}")
    except (FileNotFoundError, NoSuchTableError) as error:
        hint = "the first night makes it; or is LAKE_URL another one?"
        raise StageError(Status.CLUSTER, f"the lake has no table {name} at {settings.lake_url}.", hint) from error

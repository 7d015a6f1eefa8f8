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
from thrift.Thrift import TException

from base.masking import clean
from base.settings import Settings
from base.trouble import StageError, Status
from postgres import decision
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
    decision.verify_published(cursor)
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
    asked; else the files at LAKE_URL. Raise StageError if the table cannot be read.
    """
    try:
        if Config().get_catalog_config("lake"):
            return load_catalog("lake").load_table(f"visitas.{name}")
        return StaticTable.from_metadata(f"{address(settings.lake_url)}/visitas/{name}")
    except (OSError, TException, NoSuchTableError) as error:
        hint = "the first night makes the tables; LAKE_URL and the settings of PyIceberg say where."
        said = clean(str(error)).removesuffix(".")
        raise StageError(Status.CLUSTER, f"the table {name} of the lake cannot be read: {said}.", hint) from error

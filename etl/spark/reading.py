"""Reading the lake without Java, by PyIceberg: for people's questions."""

from typing import Any

from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable
from pyiceberg.utils.config import Config

from base.settings import Settings
from spark.session import warehouse


def open_table(settings: Settings, name: str) -> Any:
    """Return a table of the lake, as readers see it now.

    If PyIceberg's own settings (``.pyiceberg.yaml``, ``PYICEBERG_CATALOG__LAKE__URI``) have a catalog ``lake``, that catalog is
    asked; else the files at LAKE_URL.
    """
    if Config().get_catalog_config("lake"):
        return load_catalog("lake").load_table(f"visitas.{name}")
    return StaticTable.from_metadata(f"{warehouse(settings.lake_url)}/visitas/{name}")

"""The statements of sql/, and how to run them."""

import re
from functools import lru_cache
from typing import Any

from psycopg2.extensions import connection, cursor

from base.settings import ROOT

COMMENT = re.compile(r"--[^\n]*")  # no text of a statement holds two dashes: a test looks


@lru_cache
def query(name: str) -> str:
    """Return the statement in ``sql/<name>.sql``, without its comments: psycopg2 would fill in placeholders in them too."""
    return COMMENT.sub("", (ROOT / "sql" / f"{name}.sql").read_text()).strip()


def rows(cursor: cursor, statement: str, values: dict[str, Any] | None = None) -> list[Any]:
    """Run ``sql/<statement>.sql`` and return its rows."""
    cursor.execute(query(statement), values)
    return cursor.fetchall()


def one(cursor: cursor, statement: str, values: dict[str, Any] | None = None) -> Any:
    """Run ``sql/<statement>.sql`` and return its one row."""
    cursor.execute(query(statement), values)
    return cursor.fetchone()


class Link(connection):
    """A connection that remembers how to run the statements that it has planned."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.planned: dict[str, str] = {}


def prepare_once(cursor: cursor, name: str) -> str:
    """Return what does the same as ``query``, for a statement of every file: the connection plans it once.

    Planning costs more than the rows of a small file.
    """
    link = cursor.connection
    assert isinstance(link, Link)
    if name not in link.planned:
        plan = name.replace("/", "_")
        parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", query(name)))
        numbered = {parameter: f"${number}" for number, parameter in enumerate(parameters, 1)}
        cursor.execute(f"prepare {plan} as {query(name) % numbered}")
        link.planned[name] = f"execute {plan} ({', '.join(f'%({parameter})s' for parameter in parameters)});"
    return link.planned[name]

"""The load log (bitácora): which runs there were, which files came, and what became of them."""

import socket
from datetime import date
from typing import Any, NamedTuple

from psycopg2.extensions import cursor

from base.files import Stamp
from base.run import Run
from base.settings import Settings
from base.workdir import Said, Verdict
from postgres.statements import one, prepare_once, query, rows


def lock(cursor: cursor, run: Run) -> str | None:
    """Take the run lock; return None if this connection has it now, else who has it. The lock goes with the connection.

    A run whose stages still have connections lives, even if its own connection was lost.
    """
    holder: str | None = one(cursor, "ledger/run_lock")[0]
    if holder is None and (living := one(cursor, "ledger/run_living", {"id": run.id})):
        cursor.execute(query("ledger/run_unlock"))
        (holder,) = living
    return holder


def open_run(cursor: cursor, run: Run, settings: Settings) -> None:
    """Enter the run as running, unless it is entered already."""
    cursor.execute(
        query("ledger/run_open"),
        {
            "id": run.id,
            "script": run.script,
            "host": socket.gethostname(),
            "started_at": run.started_at,
            "as_of": settings.as_of,
            "visit_event": settings.visit_event,
        },
    )


def close_run(cursor: cursor, run: Run, exit_status: int) -> None:
    """Enter how the run ended."""
    cursor.execute(query("ledger/run_close"), {"id": run.id, "exit_status": exit_status})


def enter_size(cursor: cursor, run: Run) -> None:
    """Enter the size of the database at the run's end."""
    cursor.execute(query("ledger/run_size"), {"id": run.id})


def mark_crashed(cursor: cursor, run: Run) -> list[str]:
    """Mark the other runs that never entered their end as crashed; return their ids. Only the lock's holder may call this."""
    return [row[0] for row in rows(cursor, "ledger/run_crashed", {"id": run.id})]


Basis = tuple[date, str]  # as-of date and visit event: what the counters mean


class Delivery(NamedTuple):
    """What the load log knows about a report that is about to be loaded."""

    known: bool  # this very delivery is in the log: an earlier run committed it
    loaded: bool  # the same bytes have been loaded before, under whatever name
    name_reused: bool  # another content has come under this name
    earlier: list[int]  # ids of the files with this name and another content that are loaded
    erased: list[int]  # the lines of people who were forgotten


def reserve_ids(cursor: cursor, count: int) -> list[int]:
    """Return new file ids, ascending."""
    return [row[0] for row in rows(cursor, "ledger/file_ids", {"count": count})]


def names_loaded(cursor: cursor, names: list[str]) -> set[str]:
    """Return those of the names under which a file is loaded."""
    return {name for (name,) in rows(cursor, "ledger/file_names", {"names": names})}


def look(cursor: cursor, verdict: Verdict, file_id: int) -> tuple[Delivery, Basis]:
    """Return what the load log knows of the report, and the basis, which stays as it is until this transaction ends.

    Rows that are copied after this call belong to the file. Rolling back to the savepoint ``report`` removes them.
    """
    statements = query("load/lock"), query("load/file_current"), "savepoint report;", prepare_once(cursor, "ledger/file_look")
    cursor.execute("".join(statements), vars(verdict) | {"file_id": file_id})
    ((*delivery, as_of, visit_event),) = cursor.fetchall()
    return Delivery(*delivery), (as_of, visit_event)


def add_file(cursor: cursor, run: Run, delivery: Delivery, verdict: Verdict, values: dict[str, Any]) -> None:
    """Enter the report and the sums of its errors; ``values`` are its file id, fate, and row and visitor counts."""
    names = ["ledger/file_add", "load/file_rejects"] if verdict.error_rows or values["rows_rejected"] else ["ledger/file_add"]
    statements = "".join(prepare_once(cursor, name) for name in names)
    cursor.execute(statements, vars(verdict) | delivery._asdict() | {"run_id": run.id} | values)


def notice_gaps(cursor: cursor, run: Run, left: list[str]) -> tuple[list[str], list[str]]:
    """Enter the reports that are missing in the consecutive numbers; return the new ones, and the ranges of those beyond 1000.

    ``left`` are not missing. A range is two names: ``report_8.txt to report_99.txt``.
    """
    found: list[tuple[str, bool]] = rows(cursor, "ledger/gap_notice", {"run_id": run.id, "left": left})
    return [name for name, is_range in found if not is_range], [name for name, is_range in found if is_range]


class Entry(NamedTuple):
    """A report in the load log, as the backup sees it."""

    file_id: int
    name: str
    bytes: int
    mtime: int  # on the server, seconds since 1970
    sha256: str
    status: str
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    said: str | None  # what the server said of it, if that was not the truth: JSON of Said
    archive_name: str | None  # the zip that it is in, or that a killed run was about to put in place
    archived: bool

    def manifest(self) -> dict[str, object]:
        """Return what the zip's manifest says of it."""
        return {key: value for key, value in self._asdict().items() if key not in ("said", "archive_name", "archived")}

    def server_said(self) -> Said:
        """Return what the server said of it when it was pulled."""
        return Said.parse(self.said) if self.said else Said.truth(self.bytes, self.mtime)


def open_entries(cursor: cursor) -> list[Entry]:
    """Return the reports that are not in a checked zip yet, or perhaps still on the server, in order of loading."""
    return [Entry(*row) for row in rows(cursor, "ledger/file_open")]


def archived_entries(cursor: cursor) -> dict[str, list[Entry]]:
    """Return the entries of every checked zip, by the name of the zip, in order of loading."""
    zips: dict[str, list[Entry]] = {}
    for row in rows(cursor, "ledger/file_in_zip"):
        entry = Entry(*row)
        zips.setdefault(str(entry.archive_name), []).append(entry)
    return zips


class Zip(NamedTuple):
    """A backup zip in the load log."""

    name: str
    stamp: Stamp | None  # of the file as it lies there; None: from before this was kept
    is_proved: bool  # False: a run was killed before it entered that the zip is in place
    is_pruned: bool


def zips(cursor: cursor) -> list[Zip]:
    """Return every zip, in order of time."""
    found = rows(cursor, "ledger/zip_all")
    return [Zip(name, Stamp(sha256, size) if sha256 else None, *states) for name, sha256, size, *states in found]


def set_archive_name(cursor: cursor, entries: list[Entry], archive_name: str, stamp: Stamp) -> None:
    """Enter which zip is about to be put in place for the reports, and what its bytes are."""
    cursor.execute(query("ledger/file_archive_name"), {"ids": ids(entries), "archive_name": archive_name})
    cursor.execute(query("ledger/zip_add"), {"name": archive_name, "files": len(entries)} | stamp._asdict())


def set_archived(cursor: cursor, entries: list[Entry], archive_name: str) -> None:
    """Enter that the zip of the reports is in place, read back and compared."""
    cursor.execute(query("ledger/file_archived"), {"ids": ids(entries)})
    cursor.execute(query("ledger/zip_proved"), {"name": archive_name})


def set_source_deleted(cursor: cursor, entries: list[Entry]) -> None:
    """Enter that the reports are gone from the server."""
    cursor.execute(query("ledger/file_source_deleted"), {"ids": ids(entries)})


def ids(entries: list[Entry]) -> list[int]:
    """Return the file ids."""
    return [entry.file_id for entry in entries]

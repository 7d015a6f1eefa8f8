"""Changes to files that are in the load log (contract section 9): who made them, and what counters and sums follow.

Each function is a part of one transaction, which begins with ``lock``.
"""

import os
import pwd
import socket
from typing import NamedTuple

from psycopg2.extensions import cursor

from postgres import decision, migrations
from postgres.ledger import Basis
from postgres.statements import one, query


class Moved(NamedTuple):
    """How many visitors a change touches."""

    gone: int
    changed: int  # other counts, or another first or last visit
    new: int

    def __str__(self) -> str:
        """Return the counts in words."""
        return f"visitors: {self.gone:,} gone, {self.changed:,} with other counts, {self.new:,} new"


class Counts(NamedTuple):
    """How many lines of a file a change adds; below 0: takes away."""

    loaded: int
    rejected: int
    new: int = 0  # visitors that came with them


def lock(cursor: cursor) -> Basis | None:
    """Verify the schema, and keep loads out until this transaction ends; return what the counters mean, None before a load."""
    migrations.verify(cursor)
    decision.refuse_lake(cursor)
    cursor.execute(query("changes/lock"))
    basis: Basis | None = one(cursor, "load/basis")
    return basis


def enter(cursor: cursor, what: str, file_id: int, lines: int | None = None) -> None:
    """Enter a change of a file before it is made: who makes it, status and counts before, and how many lines; None: all."""
    values = {"changed_by": person(), "what": what, "file_id": file_id, "lines": lines}
    cursor.execute(query("changes/enter"), values)


def enter_prune(cursor: cursor, lines: int) -> None:
    """Enter that somebody gives up what is old, and with it so many rejected lines as they were received."""
    cursor.execute(query("changes/enter_prune"), {"changed_by": person(), "lines": lines})


def person() -> str:
    """Return who makes a change, as user@host; behind sudo, the user who called sudo."""
    user = os.environ.get("SUDO_USER")
    if not user:
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container may run under a number without a name
            user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def undo(cursor: cursor, what: str, file_id: int, basis: Basis) -> Moved:
    """Take a loaded file back, as if it had never been loaded; ``what`` is undo or replace."""
    enter(cursor, what, file_id)
    moved = recount(cursor, file_id, basis, without=True)
    cursor.execute(query("changes/file_undo"), {"file_id": file_id})
    return moved


def recount(cursor: cursor, file_id: int, basis: Basis, line_numbers: list[int] | None = None, *, without: bool = False) -> Moved:
    """Recount the visitors of these lines of a file, None: of all; ``without`` counts the file itself no longer."""
    as_of, visit_event = basis
    values = {"file_id": file_id, "line_numbers": line_numbers, "without": without, "as_of": as_of, "visit_event": visit_event}
    return Moved(*one(cursor, "changes/visitor_recount", values))


def count(cursor: cursor, file_id: int, basis: Basis, more: Counts) -> None:
    """Count so many lines of a file more, and make its sums anew."""
    values = more._asdict() | {"file_id": file_id, "visit_event": basis[1]}
    (visitors,) = one(cursor, "load/visitors_of_file", values)
    cursor.execute(query("changes/file_count"), values | {"visitors": visitors})
    cursor.execute(query("changes/sums_delete"), values)
    cursor.execute(query("load/file_campaign"), values)
    cursor.execute(query("load/file_rejects"), values)

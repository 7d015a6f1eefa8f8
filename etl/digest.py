"""Show what the last run did: each report and what became of it, and where its zip lies."""

import sys
from typing import NamedTuple

from psycopg2.extensions import cursor
from rich.console import Console
from rich.table import Table
from rich.text import Text

import ledger
from database import Database
from settings import Settings
from stage import own_command

WIDTH = 100  # columns where no terminal says


class File(NamedTuple):
    """What became of one report."""

    name: str
    status: str
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    visitors_new: int
    visitors_updated: int
    archive_name: str | None  # None until its zip is proved


COUNTS = File._fields[2:7]


class Digest(NamedTuple):
    """The facts of one run, as the load log has them."""

    run_id: str
    status: str
    seconds: float | None  # None while it runs, or if it crashed
    files: list[File]

    def total(self, count: str) -> int:
        """Return the sum over all files of one of COUNTS."""
        return sum(getattr(file, count) for file in self.files)


def gather(cursor: cursor) -> Digest | None:
    """Return the digest of the last run, or None if there was none."""
    if not (run := ledger.one(cursor, "digest_run")):
        return None
    run_id, status, seconds = run
    files = [File(*row) for row in ledger.rows(cursor, "digest_files", {"run_id": run_id})]
    return Digest(run_id, status, seconds, files)


def closing_table(digest: Digest) -> Table:
    """Return the digest's files and their sums as a table."""
    table = Table("report", "status", "lines read", "loaded", "rejected", "new visitors", "updated", show_footer=True)
    table.columns[0].footer = f"{len(digest.files)} files"
    table.columns[0].no_wrap = True
    for column, count in zip(table.columns[2:], COUNTS, strict=True):
        column.justify = "right"
        column.footer = f"{digest.total(count):,}"
    for file in digest.files:
        table.add_row(Text(file.name), file.status, *(f"{getattr(file, count):,}" for count in COUNTS))
    return table


def main(settings: Settings) -> None:
    """Print the digest of the last run."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    database = Database(settings)
    digest = database.run(gather)
    database.close()
    if digest is None:
        console.print("No run yet.")
        return
    seconds = f"{digest.seconds:.1f} seconds" if digest.seconds is not None else "no end"
    console.print(f"Run {digest.run_id}: {digest.status}, {seconds}.")
    if digest.files:
        console.print(closing_table(digest))
    if not any(file.status == "loaded" for file in digest.files):
        console.print("Nothing new: no report that was not loaded before.")
    for name in sorted({file.archive_name for file in digest.files if file.archive_name}):
        console.print(f"Zip: {settings.backup_dir / name}", soft_wrap=True)


if __name__ == "__main__":
    own_command("digest", main, Settings)

"""Show what the last run did: each report, what became of it, and its zip."""

from rich.table import Table

from base.fate import Fate
from base.settings import Settings
from commands.console import add_row, console, show, table
from notices.digest import COUNTS, Loaded, gather
from postgres.database import Database, one
from runtime.script import run_command


def closing_table(loaded: Loaded) -> Table:
    """Return a run's files and their sums as a table."""
    made = table("", "report", "status", ">lines read", ">loaded", ">rejected", ">new visitors", ">updated")
    made.show_footer = True
    made.columns[0].footer = f"{len(loaded.files)} files"
    for column, count in zip(made.columns[2:], COUNTS, strict=True):
        column.footer = f"{loaded.total(count):,}"
    for file in loaded.files:
        add_row(made, file.name, file.status, *(getattr(file, count) for count in COUNTS))
    return made


def main(settings: Settings) -> None:
    """Print what the last run did: each report and what became of it, and where its zip lies."""
    screen = console()
    database = Database(settings)
    last = database.run(one, "notices/digest_run")
    if last is None:
        screen.print("No run yet.")
        return
    run_id, status, seconds = last
    loaded = database.run(gather, run_id)
    database.close()
    took = f"{seconds:.1f} seconds" if seconds is not None else "no end"
    screen.print(f"Run {run_id}: {status}, {took}.")
    if loaded.files:
        show(screen, closing_table(loaded))
    if not loaded.of_status(Fate.LOADED):
        screen.print("Nothing new: no report that was not loaded before.")
    for name in loaded.zips:
        screen.print(f"Zip: {settings.backup_dir / name}", soft_wrap=True)


if __name__ == "__main__":
    run_command("closing", main, Settings)

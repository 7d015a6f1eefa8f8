"""Show what the last run did with each report, and where its zip is."""

from rich.table import Table

from base.counting import count_of
from base.fate import Fate
from base.settings import Settings
from commands.console import add_row, console, show, table
from notices.digest import COUNTS, Result, gather
from postgres.database import Database
from postgres.statements import one
from runtime.script import run_command


def files_table(result: Result) -> Table:
    """Return a table of the run's files, with sums below."""
    made = table("", "report", "status", ">lines read", ">loaded", ">rejected", ">new visitors", ">updated")
    made.show_footer = True
    made.columns[0].footer = count_of(len(result.files), "file")
    for column, count in zip(made.columns[2:], COUNTS, strict=True):
        column.footer = f"{result.total(count):,}"
    for file in result.files:
        add_row(made, file.name, file.status, *(getattr(file, count) for count in COUNTS))
    return made


def main(settings: Settings) -> None:
    """Print how the last run ended, then its files and the path of its zip."""
    screen = console()
    database = Database(settings)
    last = database.run(one, "notices/digest_run")
    if last is None:
        screen.print("No run yet.")
        return
    run_id, status, seconds = last
    result = database.run(gather, run_id)
    database.close()
    duration = f"{seconds:.1f} seconds" if seconds is not None else "no end"
    screen.print(f"Run {run_id}: {status}, {duration}.", soft_wrap=True)
    if result.files:
        show(screen, files_table(result))
    if not result.number_of(Fate.LOADED):
        screen.print("Nothing new was loaded.")
    for name in result.zips:
        screen.print(f"Zip: {settings.backup_dir / name}", soft_wrap=True)


if __name__ == "__main__":
    run_command("last-run", main, Settings)

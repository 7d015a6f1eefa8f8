"""Show the last nights, or everything that ever happened to one report."""

from argparse import Namespace

from psycopg2.extensions import cursor

from base import settings as every_setting
from base.settings import Settings
from base.trouble import Status
from commands.console import add_row, console, show, shown, table
from postgres.database import Database
from postgres.statements import query, rows
from runtime.script import command_line, run_plain_command, some_text

NIGHTS = 14


def main(arguments: Namespace) -> Status:
    """Print the nights, or the events of the report that is named."""
    settings = every_setting.load(Settings)
    database = Database(settings)
    status = Status.DONE
    if arguments.file is None:
        database.run(show_nights, arguments.nights, settings)
    else:
        status = database.run(show_file, arguments.file, settings)
    database.close()
    return status


def show_nights(cursor: cursor, nights: int, settings: Settings) -> None:
    """Print the last runs and what they brought."""
    cursor.execute(query("commands/read_only"))
    counts = (">seconds", ">files", ">not loaded", ">lines read", ">loaded", ">rejected")
    wide = table("", "began", "script", "ended", ">status", *counts, "zip")
    narrow = table("", "began", "ended", *counts)
    for began, script, ended, status, *figures, zip_name in rows(
        cursor, "commands/history_nights", {"nights": nights, "timezone": settings.timezone}
    ):
        when = f"{began:%Y-%m-%d %H:%M}"
        how = ("" if script == "etl" else f"{script}: ") + ended + (f", {status}" if status else "")
        add_row(wide, when, script, ended, status, *figures, zip_name)
        add_row(narrow, when, how, *figures)
    if not wide.rows:
        console().print("No run yet.")
        return
    show(console(), wide, narrow)
    console().print(f"Times are in {settings.timezone}.")


def show_file(cursor: cursor, name: str, settings: Settings) -> Status:
    """Print what happened to the reports of that name; REFUSED if there is none, as explain has it."""
    cursor.execute(query("commands/read_only"))
    events = rows(cursor, "commands/history_file", {"name": name, "timezone": settings.timezone})
    if not events:
        console().print(f"The load log does not know {shown(name)}.", soft_wrap=True)
        return Status.REFUSED
    made = table("", "when", "run", "what happened")
    for when, *rest in events:
        add_row(made, f"{when:%Y-%m-%d %H:%M:%S}", *rest)
    show(console(), made)
    console().print(f"Times are in {settings.timezone}; a run's id has them in UTC.")
    return Status.DONE


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--nights", type=int, default=NIGHTS, metavar="N", help="how many runs to show (default: %(default)s)")
    parser.add_argument("--file", type=some_text, metavar="NAME", help="show what happened to the reports of this name")
    parsed = parser.parse_args()
    run_plain_command("history", lambda: main(parsed))

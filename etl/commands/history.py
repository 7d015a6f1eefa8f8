"""Show the last nights, or everything that ever happened to one report."""

from argparse import Namespace

from psycopg2.extensions import cursor

from base import settings as every_setting
from base.settings import Settings
from commands.console import add_row, console, show, table
from postgres.database import Database, query, rows
from runtime.script import command_line, run_plain_command

NIGHTS = 14


def main(arguments: Namespace) -> None:
    """Print the nights, or the events of the report that is named."""
    settings = every_setting.load(Settings)
    database = Database(settings)
    if arguments.file is None:
        database.run(show_nights, arguments.nights, settings)
    else:
        database.run(show_file, arguments.file, settings)
    database.close()


def show_nights(cursor: cursor, nights: int, settings: Settings) -> None:
    """Print the last runs and what they brought."""
    cursor.execute(query("commands/read_only"))
    columns = ("began", "script", "ended", ">status", ">seconds", ">files", ">not loaded", ">lines read", ">loaded")
    made = table("", *columns, ">rejected", "zip")
    for began, *rest in rows(cursor, "commands/history_nights", {"nights": nights, "timezone": settings.timezone}):
        add_row(made, f"{began:%Y-%m-%d %H:%M}", *rest)
    if made.rows:
        show(console(), made)
    else:
        console().print("No run yet.")


def show_file(cursor: cursor, name: str, settings: Settings) -> None:
    """Print what happened to the reports of that name."""
    cursor.execute(query("commands/read_only"))
    events = rows(cursor, "commands/history_file", {"name": name, "timezone": settings.timezone})
    if not events:
        console().print(f"The load log does not know {name}.")
        return
    made = table("", "when", "run", "what happened")
    for when, *rest in events:
        add_row(made, f"{when:%Y-%m-%d %H:%M:%S}", *rest)
    show(console(), made)


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--nights", type=int, default=NIGHTS, metavar="N", help="how many runs to show (default: %(default)s)")
    parser.add_argument("--file", metavar="NAME", help="show what happened to the reports of this name")
    parsed = parser.parse_args()
    run_plain_command("history", lambda: main(parsed))

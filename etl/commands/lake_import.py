"""Bring the history from Postgres into the lake. Before the first night of ENGINE=spark; done whole or not at all."""

from contextlib import closing

from base.run import Run
from base.settings import Settings
from commands.console import say
from postgres.database import HISTORY_LIMIT, Database
from runtime.script import command_line, run_change
from spark import session


def main(settings: Settings, run: Run) -> None:
    """Say what was brought."""
    session.verify(settings)
    from spark.history import move_in  # noqa: PLC0415 - needs packages that ENGINE=postgres does not

    with closing(Database(settings, HISTORY_LIMIT)) as database:
        counts = move_in(database, run, settings)
    say(f"The lake has the history: {', '.join(f'{table} {count:,}' for table, count in counts.items())} rows.")


if __name__ == "__main__":
    command_line().parse_args()
    run_change("lake-import", main, engines=("spark",))

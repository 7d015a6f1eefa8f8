"""Keep the lake in shape: join small files, drop old snapshots and orphans. Once a week; never while a night runs."""

from contextlib import closing

from base.run import Run
from base.settings import Settings
from commands.console import say
from postgres import decision
from postgres.database import Database
from runtime.script import command_line, run_change
from spark import session


def main(settings: Settings, run: Run) -> None:
    """Finish what a killed night left, then maintain each table and say what became of its files."""
    session.verify(settings)
    from spark.exactly_once import Lake  # noqa: PLC0415 - needs packages that ENGINE=postgres does not
    from spark.maintenance import maintain  # noqa: PLC0415

    with closing(Database(settings)) as database:
        state = database.run(decision.begin, run, settings)
        with session.trouble_named(), closing(Lake(database, run, settings)) as lake:
            lake.finish(state.unpublished)
            for table, (before, after) in maintain(lake.session).items():
                say(f"{table}: data files {before:,}, now {after:,}")


if __name__ == "__main__":
    command_line().parse_args()
    run_change("lake-maintain", main, engines=("spark",))

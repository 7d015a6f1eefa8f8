"""Bring the database's schema up to date. Applies the migrations in sql/migrations that the database lacks."""

from base.settings import DatabaseSettings
from commands.console import say
from postgres.migrations import migrate
from runtime.script import run_command


def main(settings: DatabaseSettings) -> None:
    """Say what was applied."""
    say(f"The schema is up to date; migrations applied now: {', '.join(migrate(settings)) or 'none'}.")


if __name__ == "__main__":
    run_command("migrate", main, DatabaseSettings)

"""Say whether a database is set. Prints yes if DATABASE_URL or PGHOST and the like are, in the environment or in .env, or no."""

import os
import re

from base.settings import DatabaseSettings
from runtime.script import run_command

NAME = re.compile(r"DATABASE_URL|PG[A-Z]+")


def main(_: DatabaseSettings) -> None:
    """Print yes or no, for make."""
    print("yes" if any(value and NAME.fullmatch(name) for name, value in os.environ.items()) else "no")


if __name__ == "__main__":
    run_command("own-database", main, DatabaseSettings)

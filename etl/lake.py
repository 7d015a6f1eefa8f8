"""Bring every pulled report into the lake: all of a night to a branch, one decision in Postgres, then publish the branch.

It takes the place of transform and load if ENGINE=spark.
"""

from contextlib import closing

from base.fate import Fate
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from load import notice_gaps
from postgres.database import Database
from runtime.script import run_script
from spark import session


def main(settings: Settings, run: Run) -> Status:
    """Bring the pulled reports into the lake, and the counters to the as-of date, also if there is no report."""
    if settings.engine != "spark":
        raise StageError(Status.SETTINGS, f"ENGINE is {settings.engine}.", "load.py loads with it.")
    session.verify(settings)
    from spark.exactly_once import bring  # noqa: PLC0415 - needs packages that ENGINE=postgres does not

    work = WorkDir(settings)
    with closing(Database(settings)) as database:
        fates = bring(work.reports(), database, run, settings)
        database.run(notice_gaps, run, list(work.left()))
    return Status.REFUSED if {Fate.REFUSED, Fate.QUARANTINED} & fates else Status.DONE


if __name__ == "__main__":
    run_script("lake", main)

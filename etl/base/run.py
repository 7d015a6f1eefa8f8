"""The run that a process belongs to."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime

RUN_ID = "ETL_RUN_ID"  # set by night.py: the run that a stage belongs to
NEW_RUN_ID = "ETL_NEW_RUN_ID"  # set by etl.sh: the id for the run that night.py begins
STARTED = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Run:
    """One run of etl.sh, or of one stage called by hand. The stages of etl.sh get the run's id through the environment."""

    id: str  # start in UTC and process id: 20130215T000200Z-4711
    script: str

    @classmethod
    def current(cls, script: str) -> "Run":
        """Return the run that this process belongs to; if there is none, a new run of ``script``."""
        if run_id := os.environ.get(RUN_ID):
            return cls(run_id, "etl")
        return cls(os.environ.get(NEW_RUN_ID) or f"{datetime.now(UTC):{STARTED}}-{os.getpid()}", script)

    @property
    def started_at(self) -> datetime:
        """Return when the run began, in UTC, as its id says."""
        return datetime.strptime(self.id.partition("-")[0], STARTED).replace(tzinfo=UTC)

"""The run that a process belongs to."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime

RUN_ID = "ETL_RUN_ID"  # the run that a stage belongs to
NEW_RUN_ID = "ETL_NEW_RUN_ID"  # the run that etl.sh is about to begin
STARTED = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Run:
    """One run: of etl.sh, whose stages share the id through the environment, or of one stage by hand."""

    id: str
    script: str

    @classmethod
    def current(cls, script: str) -> "Run":
        """Return the run that this process belongs to, or a new one of ``script``."""
        if run_id := os.environ.get(RUN_ID):
            return cls(run_id, "etl")
        return cls(os.environ.get(NEW_RUN_ID) or f"{datetime.now(UTC):{STARTED}}-{os.getpid()}", script)

    @property
    def started_at(self) -> datetime:
        """When it began; the id says so."""
        return datetime.strptime(self.id.partition("-")[0], STARTED).replace(tzinfo=UTC)

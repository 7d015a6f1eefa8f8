"""Run the night: take the locks, run the stages, enter in the load log how they ended.

The stages find the run's id in ETL_RUN_ID. They find the as-of date in AS_OF, so that midnight does not change it.
"""

import logging
import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from base.run import RUN_ID, Run
from base.settings import ROOT, Settings
from base.trouble import StageError
from runtime.script import run_script

if TYPE_CHECKING:
    from pydantic import SecretStr  # Ctrl-C is no traceback once base is imported: nothing slow comes before it

log = logging.getLogger("etl.run")


def main(settings: Settings, run: Run) -> int:
    """Run stages.sh and return its exit status, or 128 + n if signal n killed it, as a shell does."""
    if url := settings.healthcheck_url:  # in a thread: the night does not wait for the ping
        threading.Thread(target=ping_start, args=(url, run), daemon=True).start()
    command = ["bash", str(ROOT / "etl" / "stages.sh")]
    environment = os.environ | {RUN_ID: run.id, "AS_OF": str(settings.as_of)}
    # The stages inherit the lock file only: every other descriptor closes itself.
    with subprocess.Popen(command, env=environment, close_fds=False) as stages:
        while True:
            try:
                status = stages.wait()
                return 128 - status if status < 0 else status
            except KeyboardInterrupt:  # the stages get Ctrl-C too, and end
                continue
            except StageError:  # another run has the lock now: the stage at work ends as it does on Ctrl-C
                for child in Path(f"/proc/{stages.pid}/task/{stages.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGINT)
                raise


def ping_start(url: "SecretStr", run: Run) -> None:
    """Tell the dead-man's switch that the run begins; if that fails, log a warning."""
    from notices import channels  # noqa: PLC0415 - slow to import: only for a night that pings

    for name, why in channels.tell({"dead-man's switch": partial(channels.ping, url, "start", run.id)}).items():
        if why:
            log.warning("%s was not reached at the start: %s.", name, why)


if __name__ == "__main__":
    run_script("etl", main)

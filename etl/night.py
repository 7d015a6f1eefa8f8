"""Run the night: take the locks, run the stages, enter in the load log how they ended.

The stages find the run's id in ETL_RUN_ID. They find the as-of date in AS_OF, so that midnight does not change it.
"""

import logging
import os
import signal
import subprocess
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from base.run import RUN_ID, Run
from base.settings import ROOT, Settings
from base.trouble import StageError, Status
from runtime.script import run_script

if TYPE_CHECKING:
    from pydantic import SecretStr  # Ctrl-C is no traceback once base is imported: nothing slow comes before it

log = logging.getLogger("etl.run")


def main(settings: Settings, run: Run) -> int:
    """Run stages.sh and return its exit status, or 128 + n if signal n killed it, as a shell does."""
    if url := settings.healthcheck_url:  # in a thread: the night does not wait for the ping
        threading.Thread(target=ping_start, args=(url, run), daemon=True).start()
    command = ["bash", str(ROOT / "etl" / "stages.sh")]
    environment = os.environ | {RUN_ID: run.id, "AS_OF": str(settings.as_of), "ENGINE": settings.engine}
    trouble: StageError | None = None
    # The stages inherit the lock file only: every other descriptor closes itself.
    with subprocess.Popen(command, env=environment, close_fds=False) as stages:
        limit_night(settings, run)
        while True:
            try:
                status = stages.wait()
                break
            except KeyboardInterrupt:  # the stages get Ctrl-C too, and end
                continue
            except StageError as error:
                trouble = error
                # Another run has the lock now: the stage at work ends as on Ctrl-C. A stage that hangs hears nothing but a kill.
                end_stages(stages.pid, signal.SIGINT if error.status == Status.LOCKED else signal.SIGKILL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if trouble:
        raise trouble
    return 128 - status if status < 0 else status


def limit_night(settings: Settings, run: Run) -> None:
    """Have StageError raised in the main thread once the night has lasted NIGHT_LIMIT_HOURS."""
    hours = settings.night_limit_hours

    def stop(_signal: int, _frame: object) -> None:
        raise StageError(
            Status.LATE,
            f"the night has lasted longer than NIGHT_LIMIT_HOURS, {hours:g} hours: its stages were ended.",
            "the ends of the logs say which stage was at work, and at what; the next run goes on from there.",
        )

    left = hours * 3600 - (datetime.now(UTC) - run.started_at).total_seconds()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(left, 1))


def end_stages(pid: int, how: signal.Signals) -> None:
    """Send a signal to the stage at work under stages.sh, whose process id is ``pid``; a kill ends stages.sh too.

    The workers of a stage end with it.
    """
    os.kill(pid, signal.SIGSTOP)  # no other stage begins meanwhile
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), how)
    os.kill(pid, how if how == signal.SIGKILL else signal.SIGCONT)


def ping_start(url: "SecretStr", run: Run) -> None:
    """Tell the dead-man's switch that the run begins; if that fails, log a warning."""
    from notices import channels  # noqa: PLC0415 - slow to import: only for a night that pings

    for name, why in channels.tell({"dead-man's switch": partial(channels.ping, url, "start", run.id)}).items():
        if why:
            log.warning("%s was not reached at the start: %s.", name, why)


if __name__ == "__main__":
    run_script("etl", main)

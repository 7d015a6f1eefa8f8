"""What owns a script's process: arguments, settings, log, lock, and trouble turned into an exit status."""

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from base import settings
from base.run import RUN_ID, Run
from base.settings import Kind, Settings
from base.trouble import StageError, Status
from runtime import logs
from runtime.lock import Hold, hold_locks

INTERRUPTED = 130  # as a shell says of a command ended by Ctrl-C

Main = Callable[[Settings, Run], int | None]

log = logging.getLogger("etl.stage")


def run_script(name: str, main: Main) -> NoReturn:
    """Run a script's ``main`` and end the process with its status (contract section 6).

    A script that is not called by etl.sh is a run of its own: it takes the locks and is in the
    load log.
    """
    parser = command_line()
    parser.add_argument("--as-of", metavar="YYYY-MM-DD", help="count this year's and this month's visits as on that day")
    if as_of := parser.parse_args().as_of:
        os.environ["AS_OF"] = as_of
    logs.to_stderr(name)
    os.umask(0o077)  # reports and zips hold people's addresses: they are this user's only
    log.info("began", extra={"facts": {}})  # the journal holds facts: this stage has none yet
    started = time.monotonic()
    status = survive(lambda: run_in_lock(name, main, settings.load(Settings)))
    seconds = time.monotonic() - started
    facts = {"ended": status, "seconds": seconds}
    written = survive(lambda: log.info("ended status=%d seconds=%.1f", status, seconds, extra={"facts": facts}))
    leave(status or written)


def run_command(name: str, main: Callable[[Kind], int | None], kind: type[Kind]) -> NoReturn:
    """Run a command for people: no lock, no log file, and no waiting for a server that is not there."""
    command_line().parse_args()
    run_plain_command(name, lambda: main(settings.load(kind)))


def command_line() -> argparse.ArgumentParser:
    """Return the parser of a script's command line, without arguments yet; --help shows the script's own words."""
    script = Path(sys.argv[0])
    name = f"python etl {script.stem.replace('_', '-')}" if script.parent.name == "commands" else script.name
    return argparse.ArgumentParser(prog=name, description=sys.modules["__main__"].__doc__)


def run_plain_command(name: str, main: Callable[[], int | None]) -> NoReturn:
    """Run a command for people that has read its command line, and reads its settings itself."""
    logs.to_stderr(name)
    os.environ["RETRY_SECONDS"] = "0"
    leave(survive(main))


def leave(status: int) -> NoReturn:
    """End the process."""
    gc.freeze()  # or Python looks for garbage in every module before it goes: 50 ms of each script
    sys.exit(status)


def run_in_lock(name: str, main: Main, settings: Settings) -> int:
    """Run ``main``, inside the locks unless the run that called it holds them, and return its status."""
    run = Run.current(name)
    logs.to_file(settings, name, run.id)
    with nullcontext(Hold()) if RUN_ID in os.environ else hold_locks(settings, run) as hold:
        hold.exit_status = survive(lambda: main(settings, run))
    return hold.exit_status


def survive(work: Callable[[], int | None]) -> int:
    """Do the work and return its exit status; log what stopped it."""
    try:
        return int(work() or Status.DONE)
    except StageError as error:
        log.error("%s", error)
        return error.status
    except OSError as error:  # files only: the doors to servers turn theirs into a StageError
        log.error("%s: %s. Hint: free space or mend the rights there, then run again.", error.filename or "disk", error.strerror)
        return Status.DISK
    except KeyboardInterrupt:
        log.error("interrupted; the next run goes on from here.")
        return INTERRUPTED
    except Exception:
        log.exception("a bug: please report this traceback")
        return Status.BUG

"""The owner of a script's process: command line, settings, log, locks, and the exit status for every trouble."""

import argparse
import gc
import logging
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from base import settings
from base.masking import clean
from base.run import RUN_ID, Run
from base.settings import Kind, Settings
from base.trouble import StageError, Status
from runtime import logs, terminal
from runtime.lock import Hold, hold_locks

Main = Callable[[Settings, Run], int | None]

log = logging.getLogger("etl.stage")


def run_script(name: str, main: Main) -> NoReturn:
    """Run a script's ``main`` and end the process with its exit status (contract section 6).

    A stage that night.py calls belongs to the night's run. Any other script is a run of its own: it takes the locks, and
    enters itself in the load log.
    """
    parser = command_line()
    parser.add_argument("--as-of", metavar="YYYY-MM-DD", help="count this year's and this month's visits as on that day")
    if as_of := parser.parse_args().as_of:
        os.environ["AS_OF"] = as_of
    logs.to_stderr(name)
    keep_private()
    log.info("began", extra={"facts": {}})  # enters the script in the journal, without facts yet
    started = time.monotonic()
    status = survive(lambda: run_in_lock(name, main, settings.load(Settings)))
    seconds = time.monotonic() - started
    facts = {"ended": status, "seconds": seconds}
    log_status = survive(lambda: log.info("ended status=%d seconds=%.1f", status, seconds, extra={"facts": facts}))
    end_process(status or log_status)


def run_command(name: str, main: Callable[[Kind], int | None], kind: type[Kind]) -> NoReturn:
    """Run a command for people: no locks, no log file, and no waiting for a server that cannot be reached."""
    command_line().parse_args()
    run_plain_command(name, lambda: main(settings.load(kind)))


def command_line() -> argparse.ArgumentParser:
    """Return the parser of a script's command line, without arguments yet; --help shows the script's docstring."""
    script = Path(sys.argv[0])
    name = f"python etl {script.stem.replace('_', '-')}" if script.parent.name == "commands" else script.name
    return Parser(prog=name, description=sys.modules["__main__"].__doc__)


def keep_private() -> None:
    """Keep what the process writes from other users, and what it knows from the disk: lines of people, and secrets."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def some_text(typed: str) -> str:
    """Return what somebody typed for an argument, or refuse nothing at all."""
    if not typed:
        raise argparse.ArgumentTypeError("it is empty")
    return typed


class Parser(argparse.ArgumentParser):
    """A command line; its complaints name what was typed: ``EMAIL=`` behind a target of make, else ``--email``."""

    def error(self, message: str) -> NoReturn:
        """Complain, and end with the status of a wrong setting."""
        message = clean(message)
        if "ETL_ASKED_BY" not in os.environ:
            super().error(message)
        typed = re.sub(r"--([a-z]+)", lambda found: f"{found[1].upper()}=", message.replace("arguments ", "variables "))
        self.exit(Status.SETTINGS, f"make {self.prog.rpartition(' ')[2]}: {typed.removeprefix('argument ')}\n")


def run_plain_command(name: str, main: Callable[[], int | None]) -> NoReturn:
    """Run a command as run_command does, but the command reads its command line and its settings itself."""
    set_up_command(name)
    end_process(survive(main))


def run_change(name: str, main: Main, engines: Collection[str] = ("postgres",)) -> NoReturn:
    """Run a command that changes data: inside the locks, as a run in the load log. The command reads its command line itself.

    ``engines`` are those that it is built for.
    """

    def change() -> int:
        read = settings.load(Settings)
        if read.engine not in engines:
            raise not_built(name, read.engine)
        return run_in_lock(name, main, read)

    set_up_command(name)
    take_back_on(signal.SIGINT)
    end_process(survive(change))


def not_built(command: str, engine: str) -> StageError:
    """Return the trouble that a command is not built for an engine."""
    hint = 'see "Past one machine" in etl/README.md.'
    return StageError(Status.SETTINGS, f"{command} is not built for ENGINE={engine}.", hint)


def set_up_command(name: str) -> None:
    """Make the process one that people have called."""
    terminal.set_up()
    logs.to_stderr(name)
    os.environ["RETRY_SECONDS"] = "0"
    keep_private()
    take_back_on(signal.SIGHUP, signal.SIGTERM)  # a closed terminal, and what kill sends


def take_back_on(*numbers: signal.Signals) -> None:
    """Have these signals raise KeyboardInterrupt in the command, so that what is half done is taken back.

    A statement that Postgres is at work on is waited for. So Ctrl-C still ends at once a command that leaves nothing.
    """
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has a command pass over it
            signal.signal(number, interrupt)


def interrupt(number: int, _: object) -> NoReturn:
    """Raise KeyboardInterrupt, once: a terminal that closes may say so twice."""
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def end_process(status: int) -> NoReturn:
    """End the process with this exit status."""
    gc.freeze()  # skips the final garbage collection (50 ms)
    sys.exit(status)


def run_in_lock(name: str, main: Main, settings: Settings) -> int:
    """Run ``main`` inside the locks and return its exit status; if the calling run holds the locks, take none."""
    run = Run.current(name)
    logs.to_file(settings, name, run.id)
    with nullcontext(Hold()) if RUN_ID in os.environ else hold_locks(settings, run) as hold:
        hold.exit_status = survive(lambda: main(settings, run))
    return hold.exit_status


def survive(work: Callable[[], int | None]) -> int:
    """Do the work and return its exit status; log the error that stopped it."""
    try:
        return int(work() or Status.DONE)
    except StageError as error:
        log.error("%s", error)
        return error.status
    except OSError as error:  # about a file: sftp/ and postgres/ turn their own errors into a StageError
        log.error("%s: %s. Hint: free space or fix the rights there, then run again.", error.filename or "disk", error.strerror)
        return Status.DISK
    except KeyboardInterrupt as error:
        log.error("interrupted; the next run continues from here.")
        (number,) = error.args or (signal.SIGINT,)
        return 128 + int(number)  # as in a shell
    except Exception:
        log.exception("a bug: please report this traceback")
        return Status.BUG

"""The question before a change: asked on a terminal, or answered by --yes for scripts."""

import argparse
import select
import sys

from base.trouble import StageError, Status
from commands.console import say, shown

PATIENCE = 600  # seconds; the command holds the run lock, and a question that is left open may not hold up the night


def confirm(question: str, yes: bool) -> bool:
    """Return whether the change is wanted: ``yes`` answers, else somebody at the terminal does.

    Without a terminal there is nobody to ask: StageError.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise StageError(
            Status.SETTINGS,
            "nothing was changed: there is no terminal to ask on.",
            "type YES=1 after make, or --yes.",
        )
    print(f"{shown(question)} [y/N] ", end="", flush=True)
    is_answered, _, _ = select.select([sys.stdin], [], [], PATIENCE)
    if is_answered and sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    say("Nothing was changed.")
    return False


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the option --yes to a command line."""
    parser.add_argument("--yes", action="store_true", help="do it without asking; for scripts")

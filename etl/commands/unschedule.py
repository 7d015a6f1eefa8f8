"""Remove what starts the night of this folder. The units of systemd, or the cron line, whatever its hour and its locale."""

import os

from base.trouble import StageError, Status
from commands import crontab, units
from commands.console import say
from runtime.script import command_line, run_plain_command


def main() -> None:
    """Remove the units of this folder if they are installed, else its cron lines."""
    if units.is_installed():
        remove_units()
    else:
        remove_lines()


def remove_units() -> None:
    """Remove the units, or raise StageError if we are not root."""
    if os.geteuid():
        raise StageError(Status.SETTINGS, f"{units.TIMER} starts the night, and only root may remove it.", "sudo make unschedule")
    units.remove()
    say(f"{units.TIMER} and {units.SERVICE} are gone.")


def remove_lines() -> None:
    """Take every line that starts the night in this folder out of the crontab."""
    lines = crontab.read_lines()
    kept = [line for line in lines if not crontab.entry_of(line)]
    if kept == lines:
        say("There was no cron line of this folder.")
    else:
        crontab.write_lines(kept)
        say("The cron line is gone.")


if __name__ == "__main__":
    command_line().parse_args()
    run_plain_command("unschedule", main)

"""Start the night every day, at 00:02 or in the hour that is given. By a cron line, or by the units of systemd."""

from argparse import Namespace
from pathlib import Path

from commands import crontab, units
from commands.console import say
from runtime.script import command_line, run_plain_command


def main(arguments: Namespace) -> None:
    """Put the line into the crontab and print it; a line that is there keeps its time, unless an hour is given."""
    lines = crontab.read_lines()
    there = [entry for entry in map(crontab.entry_of, lines) if entry]
    line = crontab.new_line(crontab.HOUR if arguments.hour is None else arguments.hour)
    if there and arguments.hour is None:
        line = there[0].line if there[0].can_run else line.replace(crontab.DEFAULT, there[0].when, 1)
    place = next((number for number, other in enumerate(lines) if crontab.entry_of(other)), len(lines))
    kept = [*lines[:place], line, *(other for other in lines[place + 1 :] if not crontab.entry_of(other))]
    if kept != lines:
        crontab.write_lines(kept)
    say(line, "This line is in your crontab; take it out with make unschedule.")


def install_units(arguments: Namespace) -> None:
    """Install the units of systemd and print where they are, and when the timer starts the night."""
    folder, when = units.install(arguments.hour, arguments.destdir)
    say(f"{units.TIMER} starts the night: {when}", f"It and {units.SERVICE} are in {folder}.")
    if arguments.destdir is None:
        say("The timer is at work; take it away with sudo make unschedule.")
    else:
        say(f"Nothing was started. Where they belong: systemctl enable --now {units.TIMER}")


def show() -> None:
    """Print what starts the night of this folder, or raise StageError."""
    if units.is_installed():
        say(f"{units.TIMER}: {units.when()}")
        return
    for entry in crontab.entries():
        say(entry.line)


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--hour", type=int, choices=range(24), metavar="H", help=f"0 to 23 (default: {crontab.HOUR})")
    parser.add_argument("--systemd", action="store_true", help="install units of systemd, over a cron line; as root")
    parser.add_argument("--destdir", type=Path, metavar="FOLDER", help="only write the units, below this folder")
    parser.add_argument("--show", action="store_true", help="print what starts the night of this folder, and change nothing")
    parsed = parser.parse_args()
    run_plain_command("schedule", show if parsed.show else lambda: (install_units if parsed.systemd else main)(parsed))

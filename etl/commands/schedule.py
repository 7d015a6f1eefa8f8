"""Install the cron line. Every night at 00:02 of the machine's clock, or in the hour that is given."""

from argparse import Namespace

from commands import crontab
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


def show() -> None:
    """Print the line that is there, or raise StageError."""
    for entry in crontab.entries():
        say(entry.line)


if __name__ == "__main__":
    parser = command_line()
    parser.add_argument("--hour", type=int, choices=range(24), metavar="H", help=f"0 to 23 (default: {crontab.HOUR})")
    parser.add_argument("--show", action="store_true", help="print the line of this folder, and change nothing")
    parsed = parser.parse_args()
    run_plain_command("schedule", show if parsed.show else lambda: main(parsed))

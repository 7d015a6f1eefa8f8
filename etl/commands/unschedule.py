"""Remove the cron line. Whatever its hour, and whichever locale it was written in."""

from commands import crontab
from commands.console import say
from runtime.script import command_line, run_plain_command


def main() -> None:
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

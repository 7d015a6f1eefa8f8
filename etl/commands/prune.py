"""Remove what BACKUP_KEEP_DAYS and ERRORS_KEEP_DAYS no longer keep. Shows it and asks first; each night does the same."""

from argparse import Namespace
from collections.abc import Iterator

from backup.pruning import Old, find_old, prune
from base.counting import count_of
from base.settings import Settings
from base.trouble import Status
from commands.asking import add_yes, confirm
from commands.console import say
from postgres.database import Database
from runtime.script import command_line, run_change


def main(arguments: Namespace, settings: Settings) -> Status:
    """Show what is too old, ask, and remove it."""
    database = Database(settings)
    try:
        old = database.run(find_old, settings)
        for sentence in preview(old, settings):
            say(sentence)
        lines = sum(file.lines for file in old.lines)
        if (not old.going and not lines) or confirm("Remove this for good?", arguments.yes):
            prune(database, settings, by_person=True)  # without a question too: a kill may have left files
        return Status.DONE
    finally:
        database.close()


def preview(old: Old, settings: Settings) -> Iterator[str]:
    """Yield what goes and what stays, a sentence each."""
    if settings.backup_keep_days is None:
        yield "Zips: BACKUP_KEEP_DAYS is not set, so all are kept."
    else:
        files = sum(gone.files for gone in old.going)
        yield f"Zips: {count_of(len(old.going), 'zip')} with {count_of(files, 'report')} {than(settings.backup_keep_days)}."
        yield from (f"  {gone.name}, {count_of(gone.files, 'report')}" for gone in old.going)
        held = [kept.name for kept in old.zips if kept.is_held]
        if held:
            why = "" if settings.delete_source else "; DELETE_SOURCE is false"
            yield f"{count_of(len(held), 'older zip')} must stay, {held[0]} first: its reports may still be on the server{why}."
    if settings.errors_keep_days is None:
        yield "Rejected lines: ERRORS_KEEP_DAYS is not set, so all are kept."
    else:
        lines = sum(file.lines for file in old.lines)
        yield f"Rejected lines as received (errors.raw_line): {count_of(lines, 'line')} {than(settings.errors_keep_days)}."


def than(days: int) -> str:
    """Return what makes something go."""
    return f"older than {count_of(days, 'day')}"


if __name__ == "__main__":
    parser = command_line()
    add_yes(parser)
    parsed = parser.parse_args()
    run_change("prune", lambda settings, _: main(parsed, settings), engines=("postgres", "spark"))

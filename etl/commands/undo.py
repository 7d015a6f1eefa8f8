"""Take a loaded report back, as if it had never been loaded. Shows what changes and asks first."""

from argparse import Namespace

from base.counting import count_of
from base.fate import Fate
from base.run import Run
from base.settings import Settings
from commands.asking import add_yes
from commands.changing import add_file, choose, is_agreed, mails, parse_file, preview
from commands.console import say
from postgres import changes
from postgres.database import Database
from runtime.script import command_line, run_change


def main(arguments: Namespace, settings: Settings, _: Run) -> None:
    """Undo the report that the command line names. What is shown is the change itself, before it is committed."""
    database = Database(settings)
    with database.transaction() as cursor:
        basis = changes.lock(cursor)
        file = choose(cursor, arguments, [Fate.LOADED], settings)
        assert basis  # the load has set it
        before = mails(cursor)
        moved = changes.undo(cursor, "undo", file.file_id, basis)
        loaded, rejected = count_of(file.rows_loaded, "loaded line"), count_of(file.rows_rejected, "rejected line")
        preview([f"{file}: {loaded} and {rejected} are taken back."], moved, before, mails(cursor))
        is_wanted = is_agreed(cursor, f"Undo {file}?", arguments.yes)
    database.close()
    if is_wanted:
        say(f"{file} is undone. To load it again: make reload ID={file.file_id}")


if __name__ == "__main__":
    parser = command_line()
    add_file(parser)
    add_yes(parser)
    parsed = parse_file(parser)
    run_change("undo", lambda settings, run: main(parsed, settings, run))

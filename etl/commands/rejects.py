"""Write the rejected lines of a report to LOG_DIR, to be corrected and replayed."""

import shlex
from argparse import Namespace

from base.counting import count_of
from base.fate import Fate
from base.files import whole_file
from base.run import Run
from base.settings import Settings
from commands.changing import add_file, choose, nothing, parse_file
from commands.console import say
from postgres.database import Database
from postgres.statements import query
from runtime.script import command_line, run_change


def main(arguments: Namespace, settings: Settings, _: Run) -> None:
    """Write the rejected lines of the report that the command line names."""
    database = Database(settings)
    with database.transaction() as cursor:
        file = choose(cursor, arguments, [Fate.LOADED, Fate.QUARANTINED, Fate.REFUSED], settings)
        path = settings.log_dir / f"{file.name}.rejects.csv"
        cursor.execute(query("load/file_current"), {"file_id": file.file_id})
        with whole_file(path) as target:
            cursor.copy_expert(query("changes/rejects"), target)
            lines = cursor.rowcount
            if not lines:
                raise nothing(f"{file} has no rejected line.", f"make history FILE={file.name} shows what became of it.")
    database.close()
    say(f"{count_of(lines, 'rejected line')} of {file}: {path}")
    if file.status == Fate.LOADED:
        say(f"Correct raw_line there, then: make replay REJECTS={shlex.quote(str(path))}")


if __name__ == "__main__":
    parser = command_line()
    add_file(parser)
    parsed = parse_file(parser)
    run_change("rejects", lambda settings, run: main(parsed, settings, run))

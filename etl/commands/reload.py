"""Load an undone, refused or quarantined report again, from its zip. Today's settings count.

Shows what changes and asks first.
"""

import shutil
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import cursor

from backup.taking_out import take_out
from base.counting import count_of
from base.fate import Fate
from base.run import Run
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import Report, WorkDir
from commands.asking import add_yes
from commands.changing import File, add_file, choose, find, is_agreed, mails, nothing, parse_file, preview
from commands.console import say
from load import load_delivery
from postgres import changes, ledger
from postgres.changes import Moved
from postgres.database import Database
from postgres.insertion import Staged
from postgres.statements import query, rows
from runtime.script import command_line, run_change
from transform import stage_report


def main(arguments: Namespace, settings: Settings, run: Run) -> None:
    """Reload the report that the command line names. What is shown is the load itself, before it is committed."""
    database = Database(settings)
    with database.transaction() as cursor:
        basis = changes.lock(cursor)
        file = choose(cursor, arguments, [Fate.UNDONE, Fate.REFUSED, Fate.QUARANTINED], settings)
        assert basis  # the first load has set it
        before = mails(cursor)
        as_of, visit_event = basis
        again = reload(cursor, file, run, settings.model_copy(update={"as_of": as_of, "visit_event": visit_event}))
        loaded, rejected = count_of(again.rows_loaded, "line"), count_of(again.rows_rejected, "line")
        sentences = [f"{file} is {file.status}. It is loaded again: {loaded} loaded, {rejected} rejected."]
        if lines := [str(number) for (number,) in rows(cursor, "changes/replays_undone", {"sha256": file.sha256})]:
            sentences.append(f"Corrected in the earlier load, and not repeated: {', '.join(lines)}.")
        preview(sentences, Moved(0, again.visitors_updated, again.visitors_new), before, mails(cursor))
        is_wanted = is_agreed(cursor, f"Load {file} again?", arguments.yes)
    database.close()
    if is_wanted:
        say(f"{again} is loaded. To take it back: make undo ID={again.file_id}")


def reload(cursor: cursor, file: File, run: Run, settings: Settings) -> File:
    """Load a report from its zip and return its new entry in the load log; raise StageError if that cannot be done."""
    if file.archive_name is None:
        raise nothing(f"{file} is in no zip yet.", "the next night puts it in a zip.")
    if file.is_pruned:
        raise nothing(f"the zip of {file} is pruned, as BACKUP_KEEP_DAYS asks.", "ask the sender for the report.")
    if loaded := [same for same in find(cursor, settings, sha256=file.sha256) if same.status == Fate.LOADED]:
        raise nothing(
            f"the bytes of {file} are loaded already, as {loaded[0]}.", f"make undo ID={loaded[0].file_id} comes first."
        )
    with taken_out(file, settings) as report:
        stage_report(report)
        verdict = report.verdict()
        assert verdict
        (file_id,) = ledger.reserve_ids(cursor, 1)
        delivery, _ = ledger.look(cursor, verdict, file_id)
        fate = load_delivery(cursor, Staged(report, verdict, file_id), delivery, run, settings)
    (again,) = find(cursor, settings, file_id=file_id)
    if fate is not Fate.LOADED:
        raise StageError(
            Status.REFUSED, f"{file} would be {fate} again; nothing was changed.", f"make rejects ID={file.file_id} says why."
        )
    cursor.execute(query("changes/file_reloaded"), {"new_id": file_id, "file_id": file.file_id})
    changes.enter(cursor, "reload", file_id, again.rows_read)
    return again


@contextmanager
def taken_out(file: File, settings: Settings) -> Iterator[Report]:
    """Give the report out of its zip, in a folder of its own, for the time of the block."""
    folder = settings.work_dir / "reload"
    shutil.rmtree(folder, ignore_errors=True)  # of a killed reload
    try:
        report = WorkDir(settings.model_copy(update={"work_dir": folder})).report(file.name)
        with report.path.open("wb") as target:
            take_out(settings, str(file.archive_name), file.name, file.sha256, target)
        yield report
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = command_line()
    add_file(parser)
    add_yes(parser)
    parsed = parse_file(parser)
    run_change("reload", lambda settings, run: main(parsed, settings, run))

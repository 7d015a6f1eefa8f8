"""Show on one screen how things stand. Last night and next, what waits, lock, backup, alert, change, database."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from base import settings as every_setting
from base.counting import count_of
from base.files import size_of
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import report_names
from commands import units
from commands.checklist import in_tryout, inspect
from commands.crontab import entries
from extract import done_with
from notices.alerts import Alerts
from postgres.database import Database
from postgres.statements import one, query
from runtime.script import command_line, run_plain_command
from sftp.server import Server

OVERDUE = timedelta(hours=25)  # since the last night began: the next should have begun by then
BY_VALUE = {status.value: status for status in Status}
NIGHTS = 14  # over which the growth is averaged
STATEMENTS = {
    "run": "commands/status_run",
    "lock": "commands/status_lock",
    "backup": "commands/status_backup",
    "change": "commands/status_change",
    "database": "commands/status_database",
}


class LoadLog:
    """What the load log knows, asked once: a server that is gone is waited for once."""

    def __init__(self, settings: Settings) -> None:
        self._rows: dict[str, Any] = {}
        self._trouble: StageError | None = None
        database = Database(settings)
        try:
            with database.transaction() as cursor:
                cursor.execute(query("commands/read_only"))
                for name, statement in STATEMENTS.items():
                    self._rows[name] = one(cursor, statement, {"timezone": settings.timezone, "nights": NIGHTS})
        except StageError as error:
            self._trouble = error
        database.close()

    def __getitem__(self, name: str) -> Any:
        """Return the row of a ``status_`` statement, None without one; raise StageError if Postgres could not be asked."""
        if self._trouble:
            raise self._trouble
        return self._rows[name]


def last_run(settings: Settings, log: LoadLog) -> str:
    """Tell how the last night ended."""
    if log["run"] is None:
        raise StageError(Status.REFUSED, "no night yet.", "bash etl/etl.sh runs one.")
    began, status, exit_status, seconds, ago, files, lines = log["run"]
    if status == "running" and log["lock"] is None:
        status = "crashed"  # the next run will enter it
    said = f"{began:%Y-%m-%d %H:%M}: {status}" + (f" in {seconds:.1f} s" if seconds is not None else "")
    said += f", {count_of(files, 'file')}, {count_of(lines, 'line')}"
    if status == "crashed" or exit_status:
        ended = "" if exit_status is None else f", status {exit_status}"
        raise StageError(BY_VALUE.get(exit_status, Status.BUG), said + ended + ".", f"see {settings.log_dir}/etl.log.")
    if ago > OVERDUE.total_seconds():
        raise StageError(Status.REFUSED, f"{said}; none for {ago / 3600:,.0f} hours.", "does cron run, or the timer?")
    return said


def next_run(settings: Settings, _: LoadLog) -> str:
    """Tell when systemd or cron starts the next night."""
    now = settings.now()
    if units.is_installed():
        starts = [units.next_start()]
    else:
        starts = [start for entry in entries() for start in islice(entry.starts(now), 1)]
    if not starts:
        return " and ".join(entry.line for entry in entries())
    return f"{min(starts).astimezone(now.tzinfo):%Y-%m-%d %H:%M}"


def at_source(settings: Settings, _: LoadLog) -> str:
    """Count what waits on the server."""
    server = Server(settings)
    try:
        listing = server.list()
    finally:
        server.close()
    done = done_with(settings)["listed"]
    waiting = [file for file in listing.files if (file.name, file.claim) not in done]
    size = sum(file.claim.size or 0 for file in waiting)
    return f"{count_of(len(waiting) + len(listing.bad_names), 'file')}, {count_of(size, 'byte')}"


def in_work(settings: Settings, _: LoadLog) -> str:
    """Count what waits in the work directory."""
    try:
        names = list(report_names(settings.work_dir, settings.report_pattern))
    except FileNotFoundError:
        names = []
    sizes = [size_of(settings.work_dir / name) or 0 for name in names]  # a night at work may clear one away
    return f"{count_of(len(sizes), 'file')}, {count_of(sum(sizes), 'byte')}"


def lock(settings: Settings, log: LoadLog) -> str:
    """Tell whether a run is at work, and for how long."""
    if log["lock"] is None:
        return "free"
    run_id, seconds = log["lock"]
    if run_id is None:
        return "held by a session that is not in the load log: a run that has just begun, or no run"
    began = settings.now() - timedelta(seconds=seconds)
    said = f"held by run {run_id} for {count_of(round(seconds / 60), 'minute')}, since {began:%Y-%m-%d %H:%M}"
    if seconds > settings.lock_alert_hours * 3600:
        raise StageError(Status.LOCKED, said + ".", "does that run hang?")
    return said


def backup(settings: Settings, log: LoadLog) -> str:
    """Tell of the last zip."""
    if log["backup"] is None:
        return "none yet"
    name, when, is_pruned, pruned = log["backup"]
    size = size_of(settings.backup_dir / name)
    if size is None and not is_pruned:
        raise StageError(Status.DISK, f"{name} is not in {settings.backup_dir}.", "make verify-backups looks at all of them.")
    said = f"{name} of {when:%Y-%m-%d %H:%M}, " + ("pruned" if size is None else count_of(size, "byte"))
    return said + (f"; {count_of(pruned, 'zip')} pruned" if pruned else "")


def alert(settings: Settings, _: LoadLog) -> str:
    """Tell what people were last told, and whether it was heard."""
    alerts = Alerts.read(settings.log_dir)
    if alerts.unreached:
        dead = "; ".join(f"{name}: {why}" for name, why in alerts.unreached.items())
        raise StageError(Status.SETTINGS, f"not reached the last time: {dead}.", "make notify-test tries it again.")
    if alerts.last_alert_at is None:
        return "none yet"
    when = datetime.fromtimestamp(alerts.last_alert_at, settings.now().tzinfo)
    return f"{when:%Y-%m-%d %H:%M}: {alerts.last_alert}"


def change(_: Settings, log: LoadLog) -> str:
    """Tell what people changed last."""
    if log["change"] is None:
        return "none yet"
    when, what, person = log["change"]
    return f"{when:%Y-%m-%d %H:%M}: {what} by {person}"


def database(_: Settings, log: LoadLog) -> str:
    """Tell the database's size and growth."""
    size, growth = log["database"]
    return count_of(size, "byte") + ("" if growth is None else f", {growth:+,} a night")


LOOKS: dict[str, Callable[[Settings, LoadLog], str]] = {  # each gives what is good in a few words, or raises StageError
    "last night": last_run,
    "next night": next_run,
    "on the server": at_source,
    "in the work directory": in_work,
    "lock": lock,
    "last backup": backup,
    "last alert": alert,
    "last change": change,
    "database": database,
}


def main() -> int:
    """Print the table; return the first problem's status."""
    settings = every_setting.load(Settings)
    log = LoadLog(settings)
    looks = {name: partial(look, settings, log) for name, look in LOOKS.items()}
    return inspect(in_tryout(looks, {"next night", "on the server"}), f"Times are in {settings.timezone}.")


if __name__ == "__main__":
    command_line().parse_args()
    run_plain_command("status", main)

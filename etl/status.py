"""Show on one screen how things stand: the last night and the next, what waits, lock, backup, alert, database."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import ledger
import settings as every_setting
from alerts import Alerts
from check import cron
from console import words
from database import Database, query
from extract import wanted
from inspection import inspect
from monthly import size_of
from remote import Remote
from settings import Settings
from stage import command_line, own_plain_command
from trouble import StageError, Status

OVERDUE = timedelta(hours=25)  # since the last night began: the next should have begun by then
KNOWN = {status.value: status for status in Status}
NIGHTS = 14  # over which the growth is averaged


def ask(settings: Settings, statement: str, **values: Any) -> Any:
    """Return the one row of a statement that only reads."""
    database = Database(settings)
    try:
        with database.transaction() as cursor:
            cursor.execute(query("read_only"))
            return ledger.one(cursor, statement, {"timezone": settings.timezone} | values)
    finally:
        database.close()


def last_run(settings: Settings) -> str:
    """Tell how the last night ended."""
    found = ask(settings, "status_run")
    if found is None:
        raise StageError(Status.REFUSED, "no night yet.", "bash etl/etl.sh runs one.")
    _, began, status, exit_status, seconds, ago, files, lines = found
    said = f"{began:%Y-%m-%d %H:%M}: {status}" + (f" in {seconds:.1f} s" if seconds is not None else "")
    said += f", {files:,} files, {lines:,} lines"
    if status == "crashed" or exit_status:
        ended = "" if exit_status is None else f", status {exit_status}"
        raise StageError(KNOWN.get(exit_status, Status.BUG), said + ended + ".", "see logs/etl.log.")
    if ago > OVERDUE.total_seconds():
        raise StageError(Status.REFUSED, f"{said}; none for {ago / 3600:,.0f} hours.", "does cron run?")
    return said


def next_run(settings: Settings) -> str:
    """Tell when cron starts the next night."""
    line = cron(settings)
    minute, hour, *days = line.split()[:5]
    if days != ["*"] * 3 or not (minute.isdecimal() and hour.isdecimal()):
        return line
    now = datetime.now().astimezone()
    then = now.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    return f"{then + timedelta(days=then <= now):%Y-%m-%d %H:%M %Z}"


def at_source(settings: Settings) -> str:
    """Count what waits on the server."""
    remote = Remote(settings)
    try:
        listed, refused = remote.list()
    finally:
        remote.close()
    waiting = wanted(listed, settings)
    return f"{len(waiting) + len(refused):,} files, {words(sum(source.size for source in waiting))} bytes"


def in_work(settings: Settings) -> str:
    """Count what waits in the work directory."""
    try:
        entries = list(os.scandir(settings.work_dir))
    except FileNotFoundError:
        return "0 files"
    sizes = [entry.stat().st_size for entry in entries if fnmatchcase(entry.name, settings.report_pattern)]
    return f"{len(sizes):,} files, {words(sum(sizes))} bytes"


def lock(settings: Settings) -> str:
    """Tell whether a run is at work, and for how long."""
    found = ask(settings, "status_lock")
    if found is None:
        return "free"
    run_id, seconds = found
    said = f"held by run {run_id} for {seconds / 60:,.0f} minutes"
    if seconds > settings.lock_alert_hours * 3600:
        raise StageError(Status.LOCKED, said + ".", "does that run hang?")
    return said


def backup(settings: Settings) -> str:
    """Tell of the last zip."""
    found = ask(settings, "status_backup")
    if found is None:
        return "none yet"
    name, when = found
    size = size_of(settings.backup_dir / name)
    if size is None:
        raise StageError(Status.DISK, f"{name} is not in {settings.backup_dir}.", "make verify-backups looks at all of them.")
    return f"{name} of {when:%Y-%m-%d %H:%M}, {size:,} bytes"


def alert(settings: Settings) -> str:
    """Tell what people were last told, and whether it was heard."""
    alerts = Alerts.read(settings.log_dir)
    if alerts.unreached:
        dead = "; ".join(f"{name}: {why}" for name, why in alerts.unreached.items())
        raise StageError(Status.SETTINGS, f"not reached the last time: {dead}.", "make notify-test tries it again.")
    if alerts.last_alert_at is None:
        return "none yet"
    when = datetime.fromtimestamp(alerts.last_alert_at, settings.now().tzinfo)
    return f"{when:%Y-%m-%d %H:%M}: {alerts.last_alert}"


def database(settings: Settings) -> str:
    """Tell the database's size and growth."""
    size, growth = ask(settings, "status_database", nights=NIGHTS)
    return f"{size:,} bytes" + ("" if growth is None else f", {growth:+,} a night")


LOOKS: dict[str, Callable[[Settings], str]] = {
    "last night": last_run,
    "next night": next_run,
    "on the server": at_source,
    "in the work directory": in_work,
    "lock": lock,
    "last backup": backup,
    "last alert": alert,
    "database": database,
}


def main() -> int:
    """Print the table; return the first problem's status."""
    settings = every_setting.load(Settings)
    return inspect({name: partial(look, settings) for name, look in LOOKS.items()})


if __name__ == "__main__":
    command_line().parse_args()
    own_plain_command("status", main)

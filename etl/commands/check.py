"""Verify the installation. One line for each thing that the night needs, with a hint for each problem."""

import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from dateutil import tz
from psycopg2.extensions import cursor
from pydantic import SecretStr

from base import settings as every_setting
from base.settings import ROOT, Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from commands.checklist import inspect
from commands.crontab import cron
from notices import channels
from postgres.database import Database, rows
from runtime.script import command_line, run_plain_command
from sftp.client import Client
from sftp.packets import Refusal
from sftp.server import Listed, Server, name_some, refused

ROOM = 1 << 30  # bytes that a folder's disk should have free
OLDEST_POSTGRES = 14
SCHEDULED = (0, 2)  # hour and minute of the cron line


def folder(path: Path) -> str:
    """Verify that a folder can be written to and has room."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
    except OSError as error:
        raise StageError(Status.DISK, f"{path}: {error.strerror}.", "give this user the right to write there.") from error
    free = shutil.disk_usage(path).free
    if free < ROOM:
        raise StageError(Status.DISK, f"{path}: {free / 1e9:.1f} GB free.", "a night needs about three times its reports.")
    return f"{path}, {free / 1e9:,.0f} GB free"


def work_folder(settings: Settings) -> str:
    """Verify WORK_DIR."""
    return folder(WorkDir(settings).root)


def backup_folder(settings: Settings) -> str:
    """Verify BACKUP_DIR."""
    return folder(settings.backup_dir)


def log_folder(settings: Settings) -> str:
    """Verify LOG_DIR."""
    return folder(settings.log_dir)


def sftp(settings: Settings) -> str:
    """Verify host key, login, the remote folder, and that a waiting report can be read; delete and write nothing."""
    if not settings.sftp_host or not settings.sftp_user:
        raise StageError(Status.SETTINGS, "SFTP_HOST and SFTP_USER are not both set.", "set them in .env.")
    server = Server(settings)
    try:
        listing = server.list()
        tried = try_report(server, listing.files) if listing.files else "no report to try"
    finally:
        server.close()
    if listing.bad_names or listing.no_files:
        names = name_some([*listing.bad_names, *listing.no_files])
        raise StageError(Status.REFUSED, f"matches REPORT_PATTERN and can never be pulled: {names}.", "rename or remove it.")
    not_tried = "; deleting is not tried" if settings.delete_source else ""
    return f"{settings.sftp_user}@{settings.sftp_host}, {len(listing.files)} reports waiting, {tried}{not_tried}"


def try_report(server: Server, files: list[Listed]) -> str:
    """Look at a waiting report and read its first byte, as the night would; return what was tried.

    One byte only: some servers take a file away once it has been given whole.
    """
    file = max(files, key=lambda file: file.claim.size or 0)

    def first_byte(client: Client, listed: Listed) -> None:
        path = server.path(listed.name)
        try:
            client.look(path)
            client.read_first(path)
        except Refusal as error:
            raise refused(error, f"give {listed.name}", "give SFTP_USER the right to read it.") from error

    ((_, outcome),) = server.each(first_byte, [file])
    if isinstance(outcome, StageError):
        raise StageError(outcome.status, f"{file.name}: {outcome.args[1]}", outcome.args[2])
    return f"{file.name} can be read"


def postgres(settings: Settings) -> str:
    """Verify that the database answers, and has the right version, schema and rights."""
    database = Database(settings)
    try:
        with database.transaction() as cursor:
            return look_at(cursor)
    finally:
        database.close()


def look_at(cursor: cursor) -> str:
    """Verify version, schema and rights."""
    version = cursor.connection.server_version // 10_000
    if version < OLDEST_POSTGRES:
        raise StageError(Status.POSTGRES, f"PostgreSQL {version} is too old.", f"{OLDEST_POSTGRES} or later is needed.")
    applied = {row[0] for row in rows(cursor, "commands/check_migrations")}
    missing = {path.stem for path in (ROOT / "sql" / "migrations").glob("*.sql")} - applied
    if missing:
        raise StageError(Status.POSTGRES, f"the schema lacks {', '.join(sorted(missing))}.", "run make postgres-setup.")
    rights = rows(cursor, "commands/check_rights")
    if rights:
        lacking = ", ".join(f"{privilege} on {name}" for name, privilege in rights)
        raise StageError(Status.POSTGRES, f"the user may not {lacking}.", "grant it, or connect as the tables' owner.")
    (name, user), *_ = rows(cursor, "commands/check_database")
    return f"PostgreSQL {version}, database {name}, user {user}"


def mail(settings: Settings) -> str:
    """Verify that the mail server takes our login; sends nothing."""
    if not settings.smtp_host:
        return "not set"
    if not settings.mail_from or not settings.mail_to:
        raise StageError(Status.SETTINGS, "MAIL_FROM and MAIL_TO are not set.", "they are needed beside SMTP_HOST.")
    try:
        with channels.smtp(settings) as server:
            server.noop()
    except OSError as error:
        raise StageError(
            Status.SETTINGS, f"{settings.smtp_host}:{settings.smtp_port}: {error}.", "check SMTP_* in the settings."
        ) from error
    return f"{settings.smtp_host}:{settings.smtp_port}"


def slack(settings: Settings) -> str:
    """Verify that Slack can be reached; posts nothing."""
    return reach(settings.slack_webhook_url, "SLACK_WEBHOOK_URL")


def switch(settings: Settings) -> str:
    """Verify that the dead-man's switch can be reached; does not ping it."""
    return reach(settings.healthcheck_url, "HEALTHCHECK_URL")


def reach(url: SecretStr | None, name: str) -> str:
    """Verify that the host of a secret address takes connections."""
    if url is None:
        return "not set"
    parts = urlsplit(url.get_secret_value())
    host, secure = parts.hostname or "", parts.scheme == "https"
    try:
        with socket.create_connection((host, parts.port or (443 if secure else 80)), channels.TIMEOUT) as plain:
            if secure:
                ssl.create_default_context().wrap_socket(plain, server_hostname=host).close()
    except OSError as error:
        raise StageError(Status.SETTINGS, f"{name}: {host}: {error}.", "is there a way out of this network?") from error
    return host


def metrics(settings: Settings) -> str:
    """Verify that the metrics can be written."""
    return folder(settings.metrics_file.parent) if settings.metrics_file else "not set"


def clock(settings: Settings) -> str:
    """Verify that cron's midnight and TIMEZONE's are on the same day."""
    hour, minute = SCHEDULED
    here = datetime.now().astimezone().replace(hour=hour, minute=minute) + timedelta(days=1)
    there = here.astimezone(tz.gettz(settings.timezone))
    if here.date() != there.date():
        day = "the day before" if there.date() < here.date() else "the next day"
        raise StageError(
            Status.SETTINGS,
            f"when cron starts the night ({here:%H:%M %Z}), it is {there:%H:%M} of {day} in {settings.timezone}.",
            "set the machine's time zone or TIMEZONE so that both have the same today.",
        )
    return f"{settings.timezone}, today is {settings.as_of}"


CHECKS: dict[str, Callable[[Settings], str]] = {  # each gives what is good in a few words, or raises StageError
    "clock": clock,
    "work folder": work_folder,
    "backup folder": backup_folder,
    "log folder": log_folder,
    "SFTP server": sftp,
    "Postgres": postgres,
    "e-mail": mail,
    "Slack": slack,
    "dead-man's switch": switch,
    "metrics": metrics,
    "cron": cron,
}


def main() -> int:
    """Print the table; return the first problem's status."""
    sound = every_setting.load_sound()
    checks = {name: partial(verify, sound) for name, verify in CHECKS.items()}
    return inspect({"settings": lambda: f"{len(every_setting.load(Settings).model_fields_set)} set, all sound"} | checks)


if __name__ == "__main__":
    command_line().parse_args()
    run_plain_command("check", main)

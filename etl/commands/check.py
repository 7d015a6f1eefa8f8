"""Verify the installation. One line for each thing that the night needs, with a hint for each problem."""

import os
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit
from urllib.request import getproxies, proxy_bypass

from psycopg2.extensions import cursor, quote_ident
from pydantic import SecretStr

from base import settings as every_setting
from base.counting import count_of
from base.settings import Settings
from base.trouble import StageError, Status
from commands import protection
from commands.checklist import Look, in_tryout, inspect
from commands.places import backup_folder, log_folder, metrics, secrets, work_folder
from commands.rehearsal import rehearse, rehearse_lake
from commands.units import clock, starter
from notices import channels
from postgres import migrations
from postgres.database import Database
from postgres.statements import one, rows
from runtime.script import command_line, run_plain_command
from sftp.client import Client
from sftp.packets import Refusal
from sftp.server import Listed, Server, name_some, refused

SEE_SETTINGS = "not looked at: see settings"


def sftp(settings: Settings) -> str:
    """Verify host key, login, the remote folder, and that a waiting report can be read; delete and write nothing."""
    if not settings.sftp_host or not settings.sftp_user:
        return SEE_SETTINGS
    server = Server(settings)
    try:
        listing = server.list()
        tried = try_report(server, listing.files) if listing.files else "no report to try"
        protected = server.connect().protection()
    finally:
        server.close()
    if listing.bad_names or listing.no_files:
        names = name_some([*listing.bad_names, *listing.no_files])
        raise StageError(Status.REFUSED, f"matches REPORT_PATTERN and can never be pulled: {names}.", "rename or remove it.")
    not_tried = "; deleting is not tried" if settings.delete_source else ""
    waiting = f"{count_of(len(listing.files), 'report')} waiting, {tried}{not_tried}"
    return f"{settings.sftp_user}@{settings.sftp_host}, {protected}, {waiting}"


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
    """Verify that the database has the right version, schema and rights, and takes a load; leave nothing behind."""
    if settings.database_url is None:
        return SEE_SETTINGS
    with closing(Database(settings)) as database:
        with database.transaction() as cursor:
            found = look_at(cursor)
        return f"{found}, {rehearse(database, settings)}"


def look_at(cursor: cursor) -> str:
    """Verify server, schema and rights."""
    (name, user) = one(cursor, "session/user")
    is_standby, is_read_only = one(cursor, "commands/check_server")
    if is_standby:
        raise StageError(Status.POSTGRES, "this server is a standby: it takes no changes.", "name the primary in DATABASE_URL.")
    if is_read_only:
        raise StageError(
            Status.POSTGRES,
            "the session of this role is read-only.",
            f"alter role {quote_ident(user, cursor)} set default_transaction_read_only = off;",
        )
    if rights := [
        f"grant {privilege} on {thing} to {quote_ident(user, cursor)};"
        for thing, privilege in rows(cursor, "commands/check_rights")
    ]:
        raise StageError(Status.POSTGRES, f"this role lacks {count_of(len(rights), 'right')}.", " ".join(rights))
    migrations.verify(cursor)
    version = cursor.connection.server_version // 10_000
    return f"PostgreSQL {version}, database {name}, user {user}, {protection.of_postgres(cursor.connection)}"


def lake(settings: Settings) -> str:
    """Verify that Spark starts, finds its catalog, and that a worker can parse a report; leave nothing behind."""
    return rehearse_lake(settings) if settings.engine == "spark" else "not used: ENGINE is postgres"


def mail(settings: Settings) -> str:
    """Verify that the mail server takes our login; sends nothing."""
    if not settings.smtp_host:
        return "not set"
    if not (settings.mail_from and settings.mail_to) and os.environ.get("MAIL_FROM") and os.environ.get("MAIL_TO"):
        return SEE_SETTINGS
    if not settings.mail_from or not settings.mail_to:
        raise StageError(Status.SETTINGS, "MAIL_FROM and MAIL_TO are not set.", "they are needed beside SMTP_HOST.")
    try:
        with channels.smtp(settings) as server:
            server.noop()
            found = protection.of_mail(server, settings)
    except (OSError, channels.Unreached) as error:
        raise StageError(
            Status.SETTINGS, f"{settings.smtp_host}:{settings.smtp_port}: {error}.", "check SMTP_* in the settings."
        ) from error
    return f"{settings.smtp_host}:{settings.smtp_port}, {found}"


def slack(settings: Settings) -> str:
    """Verify that Slack can be reached; posts nothing."""
    return reach(settings.slack_webhook_url, "SLACK_WEBHOOK_URL")


def switch(settings: Settings) -> str:
    """Verify that the dead-man's switch can be reached; does not ping it."""
    return reach(settings.healthcheck_url, "HEALTHCHECK_URL")


def reach(url: SecretStr | None, name: str) -> str:
    """Verify that the host of a secret address takes connections."""
    if url is None:
        return SEE_SETTINGS if os.environ.get(name) else "not set"
    parts = urlsplit(url.get_secret_value())
    host = parts.hostname or ""
    try:
        with closing(way_to(parts)) as connection:
            connection.connect()
            found = protection.of_web(connection, url.get_secret_value())
    except OSError as error:
        raise StageError(
            Status.SETTINGS, f"{name}: {host}: {error}.", "is there a way out of this network? HTTPS_PROXY may name one."
        ) from error
    return f"{host}, {found}"


def way_to(parts: SplitResult) -> HTTPConnection:
    """Return a connection, not made yet, to the host of an address: by way of the proxy if the environment names one."""
    host = parts.hostname or ""
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
    if proxy is None:
        return kind(host, parts.port, timeout=channels.TIMEOUT)
    by = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    way = kind(by.hostname or "", by.port or 80, timeout=channels.TIMEOUT)
    if parts.scheme == "https":
        login = b64encode(unquote_to_bytes(f"{by.username}:{by.password or ''}")).decode() if by.username else None
        way.set_tunnel(host, parts.port, {"Proxy-Authorization": f"Basic {login}"} if login else {})
    return way


CHECKS: dict[str, Callable[[Settings], str]] = {  # each gives what is good in a few words, or raises StageError
    "clock": clock,
    "secrets": secrets,
    "work folder": work_folder,
    "backup folder": backup_folder,
    "log folder": log_folder,
    "SFTP server": sftp,
    "Postgres": postgres,
    "Spark": lake,
    "e-mail": mail,
    "Slack": slack,
    "dead-man's switch": switch,
    "metrics": metrics,
    "schedule": starter,
}


def main() -> int:
    """Print the table; return the first problem's status."""
    sound = every_setting.load_sound()
    checks: dict[str, Look] = {"settings": lambda: f"{len(every_setting.load(Settings).model_fields_set)} set, all sound"}
    checks |= {name: partial(verify, sound) for name, verify in CHECKS.items()}
    return inspect(in_tryout(checks, {"clock", "SFTP server", "schedule"}))


if __name__ == "__main__":
    command_line().parse_args()
    run_plain_command("check", main)

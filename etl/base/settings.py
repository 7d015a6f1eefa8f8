"""The settings of contract section 5: the one door to the environment."""

import difflib
import os
import re
from contextlib import suppress
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

import psycopg2
from dateutil import tz
from dotenv import dotenv_values
from psycopg2.extensions import parse_dsn
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from base.trouble import StageError, Status

ROOT = Path(__file__).resolve().parent.parent.parent
PREFIXES = ("SFTP_", "SMTP_", "SLACK_", "MAIL_", "HEALTHCHECK_", "METRICS_", "REPORT_", "BACKUP_")
ZONE = re.compile(r"(?!localtime$)[A-Za-z]+(/[\w+-]+)*")  # UTC-6, say, is west to Python and east to Postgres
ALIKE = 0.85  # how alike a stranger's name must be to a setting's to count as misspelt, 0 to 1


class DatabaseSettings(BaseModel):
    """What is enough to reach Postgres. A field ``database_url`` is the variable ``DATABASE_URL``; empty means unset."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    database_url: SecretStr = SecretStr("")  # libpq's own PG* fill in what it does not say
    retry_seconds: float = Field(300, ge=0)

    @field_validator("database_url")
    @classmethod
    def _libpq_address(cls, url: SecretStr) -> SecretStr:
        try:
            parts = parse_dsn(url.get_secret_value())
            # A password with an unescaped @ or / ends up in these, and from there in messages.
            ports = parts.get("port", "").split(",")
            names = parts.get("host", "") + parts.get("dbname", "")
            sound = "@" not in names and all(port.isdecimal() for port in ports if port)
        except psycopg2.ProgrammingError:  # its message repeats the password
            sound = False
        if not sound:
            raise ValueError("not a PostgreSQL URI or DSN, e.g. postgresql://user@host/db; escape @ and / in a password")
        return url


class Settings(DatabaseSettings):
    """Every setting of contract section 5."""

    sftp_host: str
    sftp_user: str
    sftp_port: int = Field(22, ge=1, le=65535)
    sftp_key_file: Path | None = None
    sftp_password: SecretStr | None = None
    sftp_known_hosts: Path = Path("~/.ssh/known_hosts")
    sftp_remote_dir: str = "/home/vinkOS/archivosVisitas"
    report_pattern: str = "report_*.txt"
    min_age_seconds: float = Field(60, ge=0)
    delete_source: bool = True
    work_dir: Path = Path("/tmp/visitas")  # noqa: S108 - refused unless it is this user's own
    backup_dir: Path = Path("/home/etl/visitas/bckp")
    log_dir: Path = Path("logs")
    visit_event: Literal["envio", "open", "click"] = "envio"
    timezone: str = "America/Mexico_City"
    as_of: date = Field(default_factory=lambda given: datetime.now(tz.gettz(given.get("timezone"))).date())
    max_error_rate: float = Field(1.0, ge=0, le=1)
    smtp_host: str | None = None
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = True
    mail_from: str | None = None
    mail_to: str | None = None
    slack_webhook_url: SecretStr | None = None
    healthcheck_url: SecretStr | None = None
    metrics_file: Path | None = None
    mail_on_success: bool = False
    expect_files_within_days: float | None = Field(None, gt=0)
    lock_alert_hours: float = Field(6, ge=0)
    log_format: Literal["text", "json"] = "text"
    log_keep_days: int = Field(30, ge=1)

    @field_validator("sftp_key_file", "sftp_known_hosts", "work_dir", "backup_dir", "log_dir", "metrics_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """Cron's working directory means nothing: a relative path starts at the repo root."""
        try:
            return path and ROOT / path.expanduser()
        except RuntimeError as error:
            raise ValueError("there is no such user") from error

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if not ZONE.fullmatch(name) or tz.gettz(name) is None:
            raise ValueError("not a time zone; use a name such as America/Mexico_City")
        return name

    @field_validator("healthcheck_url", "slack_webhook_url")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            parts = urlsplit(url.get_secret_value() if url else "http://localhost")
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("not an http address")
        return url

    @model_validator(mode="after")
    def _folders_apart(self) -> Self:
        if self.work_dir == self.backup_dir:
            raise ValueError("WORK_DIR and BACKUP_DIR must be two folders")
        return self

    def now(self) -> datetime:
        """Return the present moment in TIMEZONE."""
        return datetime.now(tz.gettz(self.timezone))


Kind = TypeVar("Kind", bound=DatabaseSettings)


def load(kind: type[Kind]) -> Kind:
    """Return the settings of one kind, or raise StageError naming every problem at once.

    They come from the environment and, for names that it lacks, from ``.env`` at the repo root
    (ENV_FILE names another file).
    """
    env_file = read_env_file()
    for name, value in env_file.items():
        os.environ.setdefault(name, value or "")  # libpq reads its PG* names there
    problems = [stranger(name) for name in sorted(set(os.environ) - KNOWN) if is_misspelt(name)]
    problems += [
        f"{name} is no setting" for name in sorted(set(env_file) - KNOWN) if not name.startswith("PG") and not is_misspelt(name)
    ]
    try:
        settings = kind.model_validate(given(kind))
    except ValidationError as error:
        problems += [describe(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called"]
    if problems:
        raise StageError(
            Status.SETTINGS,
            f"{len(problems)} problem(s) in the settings: {'; '.join(problems)}.",
            "every setting is explained in .env.example.",
        )
    return settings


def given(kind: type[DatabaseSettings]) -> dict[str, str]:
    """Return the fields that the environment sets."""
    return {field: value for field in kind.model_fields if (value := os.environ.get(field.upper()))}


def load_sound() -> Settings:
    """Return all settings that are sound, the others at their defaults: enough to tell people that they are not."""
    with suppress(OSError):
        text = (ROOT / os.environ.get("ENV_FILE", ".env")).read_text(errors="replace")
        for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items():
            os.environ.setdefault(name, value or "")
    values = dict.fromkeys(("sftp_host", "sftp_user"), "") | given(Settings)  # without the two there are no settings
    while True:
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            unsound = {str(name) for detail in error.errors() for name in detail["loc"] or ("work_dir", "backup_dir")}
            if not unsound & values.keys():
                raise
            values = {name: value for name, value in values.items() if name not in unsound}


def read_env_file() -> dict[str, str | None]:
    """Return the names and values of the settings file; none if there is no file."""
    path = ROOT / os.environ.get("ENV_FILE", ".env")
    try:
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise StageError(Status.SETTINGS, f"{path} cannot be read: {error}.", "it must be UTF-8 and yours.") from error


KNOWN = {name.upper() for name in Settings.model_fields}
OF_CRON = {"MAILTO", "MAILFROM"}  # in the environment of its jobs; alike, but not ours


def is_misspelt(name: str) -> bool:
    """Return whether a name that is no setting looks as if it was meant to be one."""
    if name in OF_CRON:
        return False
    return name.startswith(PREFIXES) or name.upper() in KNOWN or bool(difflib.get_close_matches(name, KNOWN, 1, ALIKE))


def stranger(name: str) -> str:
    """Return the complaint about a name that no setting has."""
    alike = difflib.get_close_matches(name.upper(), KNOWN, 1)
    return f"{name} is no setting" + (f" (did you mean {alike[0]}?)" if alike else "")


def describe(detail: ErrorDetails) -> str:
    """Return pydantic's finding as ``NAME: what is wrong``; values stay unsaid, they may be secret."""
    if not detail["loc"]:  # about several settings
        return detail["msg"].removeprefix("Value error, ")
    name = str(detail["loc"][0]).upper()
    if detail["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"

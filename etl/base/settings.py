"""The settings of contract section 5, and the one door to the environment."""

import difflib
import os
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from dateutil import tz
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from base import exposure, libpq
from base.counting import count_of
from base.env_file import put_in_environment, read_env_file
from base.mailboxes import header_of, read_mailboxes
from base.trouble import StageError, Status

ROOT = Path(__file__).resolve().parent.parent.parent
# A variable that begins with one of these, and is no setting, counts as a misspelt setting.
PREFIXES = ("SFTP_", "SMTP_", "SLACK_", "MAIL_", "HEALTHCHECK_", "METRICS_", "REPORT_", "BACKUP_")
ZONE = re.compile(r"(?!localtime$)[A-Za-z]+(/[\w+-]+)*")  # no UTC-6: Python reads it as west, Postgres as east
MAILBOXES = (("mail_from", 1), ("mail_to", None))  # settings, and how many mailboxes each may hold
LONGEST = 36_500  # days: a hundred years, which Postgres can count back
SMTPS = 465  # the port of mail that speaks TLS from the first byte
ALIKE = 0.85  # 0 to 1: a name as similar as this to a setting's name is a misspelt setting


class DatabaseSettings(BaseModel):
    """The settings needed to reach Postgres. The field ``database_url`` is the variable ``DATABASE_URL``; empty means unset."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    allow_insecure: bool = False  # first: the validators of others look at it
    database_url: SecretStr | None = SecretStr("")  # libpq takes the rest from its own PG* variables; None: ask no database
    retry_seconds: float = Field(300, ge=0)

    @field_validator("database_url")
    @classmethod
    def _libpq_address(cls, url: SecretStr | None, about: ValidationInfo) -> SecretStr | None:
        if url is not None:
            libpq.verify_form(url.get_secret_value())
            if not about.data.get("allow_insecure"):
                exposure.refuse_postgres(url.get_secret_value())
        return url

    def postgres_address(self) -> str:
        """Return DATABASE_URL, or raise StageError if no database may be asked."""
        if self.database_url is None:
            raise StageError(Status.SETTINGS, "no database is asked: its settings are invalid.", "make check says why.")
        return self.database_url.get_secret_value()


class Settings(DatabaseSettings):
    """All settings of contract section 5."""

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
    max_report_bytes: int = Field(10 << 30, ge=1)
    work_dir: Path = Path("/tmp/visitas")  # noqa: S108 - refused unless it is this user's own
    backup_dir: Path = Path("/home/etl/visitas/bckp")
    backup_recipients: str | None = None
    backup_identity_file: Path | None = None
    backup_keep_days: int | None = Field(None, ge=1, le=LONGEST)
    errors_keep_days: int | None = Field(None, ge=1, le=LONGEST)
    log_dir: Path = Path("logs")
    visit_event: Literal["envio", "open", "click"] = "envio"
    timezone: str = "America/Mexico_City"
    as_of: date = Field(default_factory=lambda fields: datetime.now(tz.gettz(fields.get("timezone"))).date())
    max_error_rate: float = Field(1.0, ge=0, le=1)
    on_reused_name: Literal["keep", "replace"] = "keep"
    smtp_host: str | None = None
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = True
    smtp_ca_file: Path | None = None
    mail_from: str | None = None
    mail_to: str | None = None
    slack_webhook_url: SecretStr | None = None
    healthcheck_url: SecretStr | None = None
    metrics_file: Path | None = None
    mail_on_success: bool = False
    expect_files_within_days: float | None = Field(None, gt=0)
    notice_language: Literal["en", "es"] = "en"
    lock_alert_hours: float = Field(6, ge=0)
    night_limit_hours: float = Field(12, gt=0, le=24 * LONGEST)
    engine: Literal["postgres", "spark"] = "postgres"
    landing_url: str = ".local/landing"
    lake_url: str = ".local/lake"
    log_format: Literal["text", "json"] = "text"
    log_keep_days: int = Field(30, ge=1)

    @field_validator(
        "sftp_key_file",
        "sftp_known_hosts",
        "work_dir",
        "backup_dir",
        "backup_identity_file",
        "log_dir",
        "metrics_file",
        "smtp_ca_file",
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """Return the absolute path. A relative path starts at the repo root, because cron's working directory means nothing."""
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

    @field_validator("smtp_starttls")
    @classmethod
    def _protected_login(cls, is_asked_for: bool, about: ValidationInfo) -> bool:
        mail = about.data
        if not (is_asked_for or mail.get("allow_insecure") or mail.get("smtp_port") == SMTPS) and mail.get("smtp_user"):
            exposure.refuse_login(mail.get("smtp_host") or "localhost")
        return is_asked_for

    @field_validator("healthcheck_url", "slack_webhook_url")
    @classmethod
    def _web_address(cls, url: SecretStr | None, about: ValidationInfo) -> SecretStr | None:
        if url:
            exposure.verify_web(url.get_secret_value())
            if not about.data.get("allow_insecure"):
                exposure.refuse_web(url.get_secret_value())
        return url

    @field_validator("mail_from", "mail_to")
    @classmethod
    def _mailboxes(cls, text: str | None, about: ValidationInfo) -> str | None:
        return None if text is None else header_of(text, dict(MAILBOXES)[str(about.field_name)])

    @field_validator("backup_recipients")
    @classmethod
    def _age_keys(cls, text: str | None) -> str | None:
        if text is None:
            return None
        from pyrage import RecipientError, x25519  # noqa: PLC0415 - only for zips that are encrypted

        try:
            for key in text.split(","):
                x25519.Recipient.from_str(key.strip())
        except RecipientError as error:  # its words stay away: somebody may have put the secret key here
            raise ValueError("not public keys of age (age1...), which age-keygen writes; a comma between two") from error
        return text

    @model_validator(mode="after")
    def _folders_apart(self) -> Self:
        if self.work_dir == self.backup_dir:
            raise ValueError("WORK_DIR and BACKUP_DIR must be two folders")
        return self

    @field_validator("landing_url", "lake_url")
    @classmethod
    def _whole_address(cls, url: str) -> str:
        """Return the address; a path without a scheme is one of this machine, and starts at the repo root."""
        if re.match("[a-z0-9]+:(?!//)", url):
            raise ValueError("an address has two slashes behind its colon: file:///folder")
        return url if "://" in url else str(ROOT / url)

    @field_validator("engine")
    @classmethod
    def _able_to(cls, engine: str, about: ValidationInfo) -> str:
        if engine == "spark" and (about.data.get("on_reused_name") == "replace" or about.data.get("errors_keep_days")):
            raise ValueError("spark is not built for ON_REUSED_NAME=replace, nor for ERRORS_KEEP_DAYS")
        return engine

    def now(self) -> datetime:
        """Return the current time in TIMEZONE."""
        return datetime.now(tz.gettz(self.timezone))


Kind = TypeVar("Kind", bound=DatabaseSettings)


def load(kind: type[Kind]) -> Kind:
    """Return the settings of one kind, or raise StageError that names every problem at once.

    A setting comes from the environment. If it is not there, it comes from the settings file: ``.env`` at the repo root,
    or the file that ENV_FILE names.
    """
    values, problems = read_env_file(ROOT)
    put_in_environment(values)
    strange = {name for name in values if not OF_LIBRARIES.fullmatch(name)} | set(filter(is_misspelt, os.environ))
    problems += [describe_unknown(name) for name in sorted(strange - KNOWN)]
    try:
        settings = kind.model_validate(read_environment(kind))
    except ValidationError as error:
        problems += [describe(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called"]
    if problems:
        raise StageError(
            Status.SETTINGS,
            f"{count_of(len(problems), 'problem')} in the settings: {'; '.join(problems)}.",
            "every setting is explained in .env.example.",
        )
    return settings


def is_tryout() -> bool:
    """Return whether the settings are those that ``make testing`` writes, and not those of an installation."""
    return ROOT / os.environ.get("ENV_FILE", ".env") == ROOT / ".local" / "testing.env"


def read_environment(kind: type[DatabaseSettings]) -> dict[str, str]:
    """Return the fields that the environment sets, as text by field name; an empty variable sets nothing."""
    return {field: value for field in kind.model_fields if (value := os.environ.get(field.upper()))}


def load_sound() -> Settings:
    """Return the settings, with the default for each invalid value: enough to tell people that settings are invalid."""
    put_in_environment(read_env_file(ROOT).values)
    values: dict[str, Any] = dict.fromkeys(("sftp_host", "sftp_user", "database_url"), "")  # without the first two: no settings
    values |= read_environment(Settings)
    while True:
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            invalid = {str(name) for detail in error.errors() for name in detail["loc"] or ("work_dir", "backup_dir")}
            if not invalid & values.keys():
                raise
            values = {name: value for name, value in values.items() if name not in invalid} | keep_sound(values, invalid)


def keep_sound(values: dict[str, Any], invalid: set[str]) -> dict[str, Any]:
    """Return what is kept of invalid values: mailboxes that can be read; and no database, where a default would be another."""
    sound = {name: ", ".join(read_mailboxes(values[name]).sound[:most]) for name, most in MAILBOXES if name in invalid}
    return {name: text for name, text in sound.items() if text} | dict.fromkeys(invalid & {"database_url"})


KNOWN = {name.upper() for name in Settings.model_fields}
OF_LIBRARIES = re.compile(  # what libraries, Spark and Java look for in the environment: the settings file may set it
    "PG(HOST(ADDR)?|PORT|DATABASE|USER|PASS(WORD|FILE)|SERVICE(FILE)?|OPTIONS|APPNAME|SSL[A-Z]+|REQUIRE(SSL|PEER|AUTH)"
    "|CHANNELBINDING|GSS[A-Z]+|KRBSRVNAME|CONNECT_TIMEOUT|CLIENTENCODING|TARGETSESSIONATTRS|LOADBALANCEHOSTS"
    "|M(IN|AX)PROTOCOLVERSION|DATESTYLE|TZ|GEQO|SYSCONFDIR|LOCALEDIR)|(JAVA|SPARK|HADOOP)_HOME|(SPARK|HADOOP|YARN)_CONF_DIR|CLASSPATH"
    "|PYSPARK_PYTHON|ARROW_LIBHDFS_DIR|AWS_[A-Z_]+|PYICEBERG_[A-Z_]+|(HTTPS?|NO)_PROXY|(https?|no)_proxy|SSL_CERT_(FILE|DIR)"
)
OF_CRON = {"MAILTO", "MAILFROM"}  # set by cron for its jobs; similar to settings, but not settings


def is_misspelt(name: str) -> bool:
    """Return whether a name that is no setting looks like a misspelt setting."""
    if name in OF_CRON:
        return False
    return name.startswith(PREFIXES) or name.upper() in KNOWN or bool(difflib.get_close_matches(name, KNOWN, 1, ALIKE))


def describe_unknown(name: str) -> str:
    """Return the complaint about a name that is no setting, with the most similar setting."""
    similar = difflib.get_close_matches(name.upper(), KNOWN, 1)
    return f"{name} is no setting" + (f" (did you mean {similar[0]}?)" if similar else "")


def describe(detail: ErrorDetails) -> str:
    """Return pydantic's error as ``NAME: what is wrong``, without the value, which may be secret."""
    if not detail["loc"]:  # about several settings
        return detail["msg"].removeprefix("Value error, ")
    name = str(detail["loc"][0]).upper()
    if detail["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"

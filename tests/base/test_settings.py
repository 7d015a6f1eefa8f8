"""The settings: every problem is named at once, and no message holds a secret."""

import os
from datetime import date
from pathlib import Path

import pytest

from base import settings
from base.settings import ROOT, Settings
from base.trouble import StageError, Status


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The two required settings, and a settings file to write; what it puts into the environment goes."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    (tmp_path / "env").touch()
    for name, value in {"SFTP_HOST": "h", "SFTP_USER": "u", "ENV_FILE": str(tmp_path / "env")}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def complaint() -> str:
    with pytest.raises(StageError) as caught:
        settings.load(Settings)
    assert caught.value.status == Status.SETTINGS
    return str(caught.value)


def test_defaults(environment: pytest.MonkeyPatch) -> None:
    loaded = settings.load(Settings)
    assert (loaded.sftp_port, loaded.work_dir, loaded.log_dir) == (22, Path("/tmp/visitas"), ROOT / "logs")
    assert (loaded.visit_event, loaded.max_error_rate, loaded.retry_seconds) == ("envio", 1.0, 300)
    assert loaded.as_of == loaded.now().date()


def test_as_of_is_today_in_the_time_zone(environment: pytest.MonkeyPatch) -> None:
    days = set()
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):  # 26 hours apart: never the same day
        environment.setenv("TIMEZONE", zone)
        days.add(settings.load(Settings).as_of)
    assert len(days) == 2
    environment.setenv("AS_OF", "2013-02-15")
    assert settings.load(Settings).as_of == date(2013, 2, 15)


def test_all_problems_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("SFTP_HOST")
    for name, value in {
        "SFTP_HOTS": "h",
        "SFTP_PORT": "ssh",
        "TIMEZONE": "Nowhere",
        "VISIT_EVENT": "sent",
        "AS_OF": "15/02/2013",
        "MAX_ERROR_RATE": "2",
        "DATABASE_URL": "postgresql://etl:hunter2@[broken",
        "MAX_ERROR_RATES": "0.5",
    }.items():
        environment.setenv(name, value)
    said = complaint()
    for part in (
        "SFTP_HOST is missing",
        "SFTP_HOTS is no setting (did you mean SFTP_HOST?)",
        "MAX_ERROR_RATES is no setting (did you mean MAX_ERROR_RATE?)",
        "SFTP_PORT: ",
        "TIMEZONE: not a time zone",
        "VISIT_EVENT: ",
        "AS_OF: ",
        "MAX_ERROR_RATE: ",
        "DATABASE_URL: not a PostgreSQL URI or DSN",
    ):
        assert part in said
    assert said.startswith("9 problems in the settings: ")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url", ["postgresql://etl:hun@ter2@h/db", "postgresql://etl:hun/ter2@h/db", "postgresql://u:a@b/ter2@h/db", "host=h port=x"]
)
def test_passwords_that_need_escaping(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("DATABASE_URL", url)
    said = complaint()
    assert "escape @ and / in a password" in said
    assert "ter2" not in said


def test_folders_are_apart(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BACKUP_DIR", "/tmp/visitas")
    assert "WORK_DIR and BACKUP_DIR must be two folders" in complaint()


def test_small_letters_are_no_setting(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("delete_source", "false")
    assert "delete_source is no setting (did you mean DELETE_SOURCE?)" in complaint()


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("lake", f"{settings.ROOT}/lake"),
        ("/x", "/x"),
        ("file:///x", "file:///x"),
        ("hdfs://h:1/x", "hdfs://h:1/x"),
        ("file:/x", None),
    ],
)
def test_an_address_is_whole(environment: pytest.MonkeyPatch, url: str, whole: str | None) -> None:
    environment.setenv("LAKE_URL", url)
    if whole is None:
        assert "LAKE_URL: an address has two slashes behind its colon" in complaint()
    else:
        assert settings.load(Settings).lake_url == whole


@pytest.mark.parametrize("zone", ["UTC-6", "localtime", "/usr/share/zoneinfo/UTC", ""])
def test_zones_that_mean_something_else_to_postgres(environment: pytest.MonkeyPatch, zone: str) -> None:
    environment.setenv("TIMEZONE", zone)
    if zone:
        assert "TIMEZONE: not a time zone" in complaint()
    else:
        assert settings.load(Settings).timezone == "America/Mexico_City"


def test_names_of_cron_are_not_ours(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAILTO", "ops@example.com")
    assert settings.load(Settings)


def test_settings_file_that_is_not_utf8(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(b"SFTP_HOST=\xf1\n")
    assert f"line 1 of {tmp_path}/env is not UTF-8" in complaint()


UNREADABLE = [  # what stands in the file, and the number of the line that says nothing
    ("DELETE_SOURCE: false\n", 1),
    ("# comment\n\n\n  DELETE_SOURCE false\n", 4),
    ("SFTP_PORT=22\nDELETE_SOURCE\n", 2),
    ("export DELETE_SOURCE\n", 1),
    ("set DELETE_SOURCE=false\n", 1),
    ("unset DELETE_SOURCE\n", 1),
    ("SFTP_PORT=22\r\nSFTP_PASSWORD='it''s'\r\nDELETE_SOURCE=false\r\n", 2),
    ('SFTP_PASSWORD="hunter2\nDELETE_SOURCE=false\n', 1),
    ("SFTP_PASSWORD='hunter2\nDELETE_SOURCE=false\nBACKUP_DIR='\n", 1),
    ('BACKUP_DIR="C:\\new"\n', 1),
    ('MAIL_TO="a@example.org", "b@example.org"\n', 1),
    ("=false\n", 1),
    ("SFTP_PASSWORD=a\0b\n", 1),
    ("DELETE_SOURCE=false\nDELETE_SOURCE=true\n", 2),
]


@pytest.mark.parametrize(("text", "line"), UNREADABLE)
def test_a_line_that_cannot_be_read(environment: pytest.MonkeyPatch, tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "env").write_text(text, newline="")
    said = complaint()
    assert f"line {line} of {tmp_path}/env " in said
    assert "hunter2" not in said  # it may be a secret


def test_every_line_that_cannot_be_read_is_named_with_the_rest(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DELETE_SOURCE: false\nSFTP_PORT=ssh\nSFTP_HOTS=h\nBARE\n")
    said = complaint()
    assert said.startswith("4 problems in the settings: ")
    for part in ("line 1 of", "line 4 of", "SFTP_PORT: ", "SFTP_HOTS is no setting"):
        assert part in said


READ = ["DELETE_SOURCE=false", "DELETE_SOURCE = false", "  export DELETE_SOURCE='false' # so", '\ufeffDELETE_SOURCE="false"']


@pytest.mark.parametrize("text", READ)
def test_forms_of_a_line(environment: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "env").write_text(f"{text}\n")
    assert settings.load(Settings).delete_source is False


def test_a_settings_file_that_is_not_there(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("ENV_FILE", str(tmp_path / "evn"))
    assert f"ENV_FILE names {tmp_path}/evn, which is not there" in complaint()


def test_a_settings_file_that_is_a_folder(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("ENV_FILE", str(tmp_path))
    assert f"{tmp_path} cannot be read: Is a directory" in complaint()


MAILBOXES = [
    ("a@example.org", "a@example.org"),
    (" a@example.org ; b@example.org,", "a@example.org, b@example.org"),
    ('"Lopez, Ana" <ana@example.org>,ops@example.org', '"Lopez, Ana" <ana@example.org>, ops@example.org'),
    ('"a;b" <ana@example.org>; Beatriz Núñez <bea@localhost>', '"a;b" <ana@example.org>, Beatriz Núñez <bea@localhost>'),
]
NO_MAILBOXES = [
    "a@example.org b@example.org",
    "Lopez, Ana <ana@example.org>",
    "a@example.org; bob",
    "<a@example.org",
    "a@b@example.org",
    "a@example.org.",
    ";",
    "ops",
]


@pytest.mark.parametrize(("given", "expected"), MAILBOXES)
def test_mailboxes(environment: pytest.MonkeyPatch, given: str, expected: str) -> None:
    environment.setenv("MAIL_TO", given)
    assert settings.load(Settings).mail_to == expected


@pytest.mark.parametrize("given", NO_MAILBOXES)
def test_what_is_no_mailbox(environment: pytest.MonkeyPatch, given: str) -> None:
    environment.setenv("MAIL_TO", given)
    environment.setenv("MAIL_FROM", "etl@example.org, ops@example.org")
    said = complaint()
    assert "MAIL_TO: " in said
    assert "MAIL_FROM: it holds 2 addresses" in said
    assert "a@b" not in said


def test_who_can_be_told_that_a_mailbox_is_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAIL_TO", "a@example.org; bob; c@example.org")
    environment.setenv("MAIL_FROM", "bob")
    sound = settings.load_sound()
    assert (sound.mail_to, sound.mail_from) == ("a@example.org, c@example.org", None)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "PGSSLROOTCERT"])
def test_what_libraries_look_for(environment: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    environment.delenv(name, raising=False)
    (tmp_path / "env").write_text(f"{name}=x\n")
    settings.load(Settings)
    assert settings.os.environ[name] == "x"


def test_settings_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nSFTP_HOST=file\nSFTP_PORT=2022\nPGHOST=db\nSFTP_PASSWORD='a b$HOME'\nLOG_DIR=\n")
    environment.setenv("PGPASSWORD", "x")
    loaded = settings.load(Settings)
    assert (loaded.sftp_host, loaded.sftp_port) == ("h", 2022)  # the environment wins
    assert loaded.sftp_password is not None
    assert loaded.sftp_password.get_secret_value() == "a b$HOME"
    assert "a b" not in repr(loaded)
    assert settings.os.environ["PGHOST"] == "db"


def test_settings_file_names_only_settings(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("COLOUR=red\nPGHOTS=db\nSFTP_HOTS=\n")
    said = complaint()
    for name in ("COLOUR", "PGHOTS", "SFTP_HOTS"):
        assert f"{name} is no setting" in said

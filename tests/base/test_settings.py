"""The settings: every problem is named at once, and no message holds a secret."""

from datetime import date
from pathlib import Path

import pytest

from base import settings
from base.settings import ROOT, Settings
from base.trouble import StageError, Status


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with the two required settings; ENV_FILE names a file that the test may write."""
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
    assert said.startswith("9 problem(s)")
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
    assert "cannot be read" in complaint()


def test_settings_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nSFTP_HOST=file\nSFTP_PORT=2022\nPGHOST=db\nSFTP_PASSWORD='a b$HOME'\nLOG_DIR=\n")
    environment.delenv("PGHOST", raising=False)
    environment.setenv("PGPASSWORD", "x")
    loaded = settings.load(Settings)
    assert (loaded.sftp_host, loaded.sftp_port) == ("h", 2022)  # the environment wins
    assert loaded.sftp_password is not None
    assert loaded.sftp_password.get_secret_value() == "a b$HOME"
    assert "a b" not in repr(loaded)
    assert settings.os.environ["PGHOST"] == "db"
    environment.delenv("PGHOST")


def test_settings_file_names_only_settings(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("COLOUR=red\n")
    assert "COLOUR is no setting" in complaint()

"""make check says of each connection what protects it."""

import shutil
from pathlib import Path

import pytest

from base.settings import DatabaseSettings
from commands import protection
from kit.night import Night
from kit.pooler import pgbouncer
from kit.receivers import certificate, mail_sink, web_sink
from kit.servers import Postgres
from postgres.database import Database

WIDE = {"COLUMNS": "600", "TZ": "America/Mexico_City"}


def check(night: Night, **settings: str) -> dict[str, str]:
    """Return what check says of each thing, on one line."""
    shown = night.run("check", **WIDE, **settings).stdout
    cells = ([cell.strip() for cell in line.split("│")] for line in shown.splitlines() if line.startswith("│"))
    return {name: " ".join(said).strip() for _, name, *said in cells}


def row(night: Night, name: str, **settings: str) -> str:
    """Return what check says of one thing."""
    return check(night, **settings)[name]


def test_sftp_and_a_unix_socket(night: Night) -> None:
    found = check(night)
    assert ", ssh-ed25519 key pinned, aes128-gcm, 0 reports waiting, " in found["SFTP server"]
    assert ", by a Unix socket, a load was tried and taken back" in found["Postgres"]


MODES = [  # sslmode, what check says; {root} is the file of the certificate
    ("verify-full", "TLSv1.3, verified against {root}, a load was tried"),
    ("verify-ca", "TLSv1.3, host name not verified, this host, a load was tried"),
    ("require", "TLSv1.3, not verified, this host, a load was tried"),
    ("disable", "in clear, this host, a load was tried"),
]


def test_postgres(night: Night, postgres: Postgres, short_tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = Path(shutil.copy(certificate(tmp_path), short_tmp / "tls.pem"))
    shutil.chown(pem, postgres.folder.owner())
    tls = ("client_tls_sslmode = allow", f"client_tls_key_file = {pem}", f"client_tls_cert_file = {pem}")
    name = night.settings["DATABASE_URL"].partition("?")[0].rpartition("/")[2]
    with pgbouncer(short_tmp / "tls", postgres, "session", *tls) as port:
        for mode, said in MODES:
            address = f"postgresql://postgres@localhost:{port}/{name}?sslmode={mode}"
            more = "" if mode in ("require", "disable") else f"&sslrootcert={tmp_path}/cert.pem"
            assert said.format(root=f"{tmp_path}/cert.pem") in row(night, "Postgres", DATABASE_URL=address + more), mode
        # Of another name: refused, although the host is this one.
        address = f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={tmp_path}/cert.pem"
        assert 'does not match host name "127.0.0.1"' in row(night, "Postgres", DATABASE_URL=address)
        monkeypatch.setattr(protection, "is_here", lambda _: False)  # as if the server were elsewhere
        for mode, said in (("require", "TLSv1.3, not verified: ALLOW_INSECURE"), ("disable", "in clear: ALLOW_INSECURE")):
            database = Database(DatabaseSettings(database_url=f"postgresql://postgres@localhost:{port}/{name}?sslmode={mode}"))
            with database.transaction() as cursor:
                assert protection.of_postgres(cursor.connection) == said
            database.close()


def test_mail(night: Night, tmp_path: Path) -> None:
    with mail_sink(certificate(tmp_path)) as (_, settings):
        found = row(night, "e-mail", **settings)
        assert found == f"ok localhost:{settings['SMTP_PORT']}, TLSv1.3, verified against {tmp_path}/localhost.pem"
    with mail_sink(login=("etl", "hunter2")) as (sink, settings):
        assert row(night, "e-mail", **settings) == f"ok localhost:{settings['SMTP_PORT']}, in clear, this host"
        far = settings | {"SMTP_HOST": "127.1"}  # another spelling, as if it were another host
        assert row(night, "e-mail", **far | {"SMTP_USER": ""}).endswith(", in clear, without a login")
        assert row(night, "e-mail", ALLOW_INSECURE="true", **far).endswith(", in clear: ALLOW_INSECURE")
        sink.logins.clear()
        assert "FAULT" in row(night, "e-mail", **far)  # STARTTLS is tried, which it has not
        assert sink.logins == []


def test_web_addresses(night: Night, tmp_path: Path) -> None:
    def look(url: str, **more: str) -> list[str]:
        found = check(night, SLACK_WEBHOOK_URL=url, HEALTHCHECK_URL=url, **more)
        return [found["Slack"], found["dead-man's switch"]]

    trusted = str(certificate(tmp_path))
    with web_sink(tmp_path / "localhost.pem") as safe, web_sink() as clear:
        assert look(safe.url, SSL_CERT_FILE=trusted) == ["ok localhost, TLSv1.3"] * 2
        assert all("certificate verify failed" in said for said in look(safe.url))
        assert look(clear.url) == ["ok 127.0.0.1, in clear, this host"] * 2
        far = clear.url.replace("127.0.0.1", "127.1")
        assert look(far, ALLOW_INSECURE="true") == ["ok 127.1, in clear: ALLOW_INSECURE"] * 2


def test_what_is_refused_is_named_once_and_not_looked_at(night: Night) -> None:
    far = {"DATABASE_URL": "postgresql://etl:hunter2@db.example.com/x", "SLACK_WEBHOOK_URL": "http://hooks.example.com/hunter2"}
    found = check(night, **far)
    assert found["settings"].startswith("FAULT 2 problems in the settings: DATABASE_URL: sslmode=prefer lets others read what ")
    assert found["Postgres"] == found["Slack"] == "ok not looked at: see settings"
    assert found["dead-man's switch"] == "ok not set"
    assert "hunter2" not in str(found)


def test_the_rows_can_be_read_at_80_columns(night: Night) -> None:
    shown = night.run("check", **WIDE | {"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "by a Unix socket" in " ".join(" ".join(shown.split("│")).split())

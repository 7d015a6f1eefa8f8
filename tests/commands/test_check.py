"""make check: good on a good installation; a hint for each problem on a broken installation."""

import socket
import threading
from base64 import b64encode
from pathlib import Path
from shlex import quote

import pytest

from kit.night import Night
from kit.receivers import certificate, mail_sink, web_sink
from kit.servers import PATIENCE, ROOT, execute

SAME_ZONE = {"TZ": "America/Mexico_City"}
WIDE = SAME_ZONE | {"COLUMNS": "600"}


@pytest.mark.xdist_group("crontab")
def test_a_good_installation(night: Night, crontab: None, tmp_path: Path) -> None:
    with mail_sink(certificate(tmp_path)) as (mail, settings), web_sink() as slack, web_sink() as switch:
        settings |= {"SLACK_WEBHOOK_URL": slack.url, "HEALTHCHECK_URL": switch.url, "METRICS_FILE": str(tmp_path / "m.prom")}
        done = night.run("check", **settings, **SAME_ZONE)
    assert done.returncode == 0, done.stdout
    assert "FAULT" not in done.stdout
    assert done.stdout.endswith("No problems.\n")
    for found in (f"2 0 * * * cd {quote(str(ROOT))}", "PostgreSQL 18", "0 reports waiting", "America/Mexico_City"):
        assert found in done.stdout
    assert (mail.received, slack.received, switch.received) == ([], [], [])  # nothing was sent
    assert list(night.source.iterdir()) == []


@pytest.mark.xdist_group("crontab")  # the clock is compared with the hour of the cron line
def test_a_broken_installation(night: Night, tmp_path: Path, crontab: None) -> None:
    broken = {
        "SFTP_KNOWN_HOSTS": str(tmp_path / "none"),
        "DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "BACKUP_DIR": "/proc/backups",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": "1",
        "MAIL_FROM": "etl@example.org",
        "MAIL_TO": "ops@example.org",
        "SLACK_WEBHOOK_URL": "http://127.0.0.1:1/SECRET",
        "MIN_AGE_SECONDS": "soon",
        "TZ": "Pacific/Kiritimati",
        "HOME": str(tmp_path),
    }
    done = night.run("check", **broken)
    assert done.returncode == 2
    cells = zip(*(row.split("│")[1:-1] for row in done.stdout.splitlines() if row.startswith("│")), strict=True)
    text = " ".join(" ".join(" ".join(column).split()) for column in cells)
    for part in (
        "MIN_AGE_SECONDS",
        "is unknown",
        "Postgres does not answer",
        "/proc/backups",
        "127.0.0.1:1",
        "of the day before in America/Mexico_City",
    ):
        assert part in text, part
    assert "SECRET" not in done.stdout
    assert done.stderr == ""


def test_a_waiting_report_is_tried(night: Night) -> None:
    """It is looked at and read, as the night would; nothing is written or deleted, and what is not tried is told."""
    assert "no report to try; deleting is not tried" in " ".join(night.run("check", **WIDE).stdout.split())
    path = night.deliver("report_1.txt", b"x")
    said = " ".join(night.run("check", **WIDE).stdout.split())
    assert "1 report waiting, report_1.txt can be read; deleting is not tried" in said
    assert "deleting" not in night.run("check", DELETE_SOURCE="false", **SAME_ZONE).stdout
    assert list(night.source.iterdir()) == [path]


def test_a_database_without_schema_or_rights(night: Night) -> None:
    url = night.settings["DATABASE_URL"]
    execute(url, "delete from load_migration where id = '0003_file_ids'")
    assert "the schema lacks 0003_file_ids" in " ".join(night.run("check", **SAME_ZONE).stdout.split())
    execute(url, "drop table load_migration")
    assert "run make postgres-setup" in " ".join(night.run("check", **SAME_ZONE).stdout.split())


def test_by_way_of_a_proxy(night: Night) -> None:
    """Whose host alone is reached; it is asked for the other's in a tunnel."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked: list[bytes] = []

        def refuse_tunnels() -> None:
            for _ in range(2):
                with listener.accept()[0] as peer:
                    asked.append(peer.recv(1 << 12))
                    peer.sendall(b"HTTP/1.1 403 not that way\r\n\r\n")

        (proxy := threading.Thread(target=refuse_tunnels, daemon=True)).start()
        urls = {
            "SLACK_WEBHOOK_URL": "https://hooks.example.invalid/SECRET",
            "HEALTHCHECK_URL": "https://hc.example.invalid/SECRET",
        }
        way = f"http://user:pass%20word@127.0.0.1:{listener.getsockname()[1]}"
        done = night.run("check", HTTPS_PROXY=way, **urls, **SAME_ZONE)
        proxy.join(PATIENCE)
    assert sorted(request.split()[1] for request in asked) == [b"hc.example.invalid:443", b"hooks.example.invalid:443"]
    assert all(b64encode(b"user:pass word") in request for request in asked)
    assert "not that way" in done.stdout
    assert "SECRET" not in done.stdout
    assert "pass" not in done.stdout


def test_one_cause_is_told_once(night: Night) -> None:
    done = night.run("check", SFTP_HOST="", MAIL_TO="nobody", MAIL_FROM="etl@example.org", SMTP_HOST="127.0.0.1", **SAME_ZONE)
    rows = [row for row in done.stdout.splitlines() if "FAULT" in row and "crontab" not in row]
    assert len(rows) == 1
    assert done.stdout.count("not looked at: see settings") == 2

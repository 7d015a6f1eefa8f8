"""A host that is shared: what other users could have changed or planted is named, and is not used."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.night import Night
from kit.receivers import certificate, mail_sink
from kit.samples import line, report
from kit.servers import ETL, PATIENCE

pytestmark = pytest.mark.long

WIDE = {"TZ": "America/Mexico_City", "COLUMNS": "1000"}
FOLDERS = ("WORK_DIR", "BACKUP_DIR", "LOG_DIR")
SOMEBODY = 12345


@pytest.fixture
def ready(night: Night) -> Night:
    """A night with files and folders of its own for every setting that names some, and a report on the server."""
    for name in ("SFTP_KEY_FILE", "SFTP_KNOWN_HOSTS"):
        (copy := night.folder / name).touch(0o600)
        copy.write_bytes(Path(night.settings[name]).read_bytes())
        night.settings[name] = str(copy)
    for name in ("ENV_FILE", "BACKUP_IDENTITY_FILE"):
        (night.folder / name).touch(0o600)
        night.settings[name] = str(night.folder / name)
    (night.folder / "metrics").mkdir()
    night.settings["METRICS_FILE"] = str(night.folder / "metrics" / "visitas.prom")
    for name in FOLDERS:
        Path(night.settings[name]).mkdir(0o700)
    night.deliver("report_1.txt", report(line()))
    return night


def path_of(night: Night, name: str) -> Path:
    path = Path(night.settings[name])
    return path.parent if name == "METRICS_FILE" else path


def named(name: str) -> str:
    return {"ENV_FILE": "settings file", "METRICS_FILE": "folder of METRICS_FILE"}.get(name, name)


@pytest.mark.parametrize(
    ("name", "mode", "status", "cure"),
    [
        ("ENV_FILE", 0o666, 2, "go-w"),
        ("ENV_FILE", 0o660, 2, "go-w"),
        ("SFTP_KEY_FILE", 0o620, 2, "go-w"),
        ("SFTP_KNOWN_HOSTS", 0o666, 2, "o-w"),
        ("WORK_DIR", 0o770, 13, "go-w"),
        ("BACKUP_DIR", 0o777, 13, "o-w"),
        ("LOG_DIR", 0o777, 13, "o-w"),
        ("METRICS_FILE", 0o777, 0, "o-w"),  # no night fails for its metrics
    ],
)
def test_what_others_could_have_changed(ready: Night, name: str, mode: int, status: int, cure: str) -> None:
    """The night does not use it, loses nothing, and goes on when it is healed; make check names it."""
    path = path_of(ready, name)
    path.chmod(mode)
    who = "everybody" if mode & 0o002 else "its group"
    done = ready.run()
    assert done.returncode == status
    assert f"{named(name)} {path} can be changed by {who}" in done.stderr
    assert f"look at what it holds, then chmod {cure} {path}" in done.stderr
    assert "Traceback" not in done.stderr
    assert (ready.source / "report_1.txt").exists() == (status != 0)
    if name in ("LOG_DIR", "METRICS_FILE"):
        assert list(path.iterdir()) == []
    checked = ready.run("check", **WIDE)
    assert f"{named(name)} {path} can be changed by {who}" in checked.stdout
    path.chmod(0o700)
    done = ready.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert ready.statuses() == [("report_1.txt", "loaded")]


@pytest.mark.parametrize("mode", [0o770, 0o2775, 0o1777, 0o755], ids=oct)
@pytest.mark.parametrize("name", ["BACKUP_DIR", "LOG_DIR"])
def test_a_folder_of_a_group_is_normal(ready: Night, name: str, mode: int) -> None:
    path_of(ready, name).chmod(mode)
    done = ready.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "can be changed" not in ready.run("check", **WIDE).stdout


def test_a_link_of_ours_as_log_folder(ready: Night) -> None:
    ready.logs.rmdir()
    (real := ready.folder / "elsewhere").mkdir()
    ready.logs.symlink_to(real)
    assert ready.run().returncode == 0
    assert {"etl.log", "load.log", "alerts.json"} <= {path.name for path in real.iterdir()}


@pytest.mark.root("give a folder away")
@pytest.mark.parametrize(("name", "status"), [("ENV_FILE", 2), ("SFTP_KEY_FILE", 2), ("BACKUP_DIR", 13), ("LOG_DIR", 13)])
def test_what_belongs_to_another_user(ready: Night, name: str, status: int) -> None:
    path = path_of(ready, name)
    os.chown(path, SOMEBODY, SOMEBODY)
    done = ready.run()
    assert done.returncode == status
    assert f"{named(name)} {path} belongs to another user (id {SOMEBODY})" in done.stderr
    assert f"chown 0 {path}" in done.stderr
    os.chown(path, 0, 0)
    assert ready.run().returncode == 0


def test_secrets_that_others_can_read(ready: Night) -> None:
    """make check names them, with the command; the night goes on."""
    assert "3 files that no other user can read" in ready.run("check", **WIDE).stdout
    secrets = [path_of(ready, name) for name in ("ENV_FILE", "SFTP_KEY_FILE", "BACKUP_IDENTITY_FILE")]
    for path, mode in zip(secrets, (0o644, 0o640, 0o604), strict=True):
        path.chmod(mode)
    checked = ready.run("check", **WIDE)
    assert checked.returncode == 2
    assert f"others can read {', '.join(map(str, secrets))}." in checked.stdout
    assert "; ".join(f"chmod 600 {path}" for path in secrets) in checked.stdout
    assert ready.run().returncode == 0


def test_an_identity_that_others_could_have_changed(ready: Night) -> None:
    """No night reads it; what reads it refuses it."""
    (path := path_of(ready, "BACKUP_IDENTITY_FILE")).chmod(0o660)
    assert ready.run().returncode == 0
    for command in ("verify-backups", "restore-drill"):
        done = ready.run(command)
        assert done.returncode == 2
        assert (
            f"BACKUP_IDENTITY_FILE {path} can be changed by its group. Hint: look at what it holds, then chmod go-w"
            in done.stderr
        )


def test_certificates_that_others_could_have_changed(ready: Night) -> None:
    """Whoever plants one there can be the mail server."""
    with mail_sink(pinned := certificate(ready.folder)) as (sink, settings):
        pinned.chmod(0o666)
        done = ready.run(MAIL_ON_SUCCESS="true", **settings)
        checked = ready.run("check", **settings, **WIDE)
    assert done.returncode == 0
    assert f"e-mail was not reached: SMTP_CA_FILE {pinned} can be changed by everybody" in done.stderr
    assert f"SMTP_CA_FILE {pinned} can be changed by everybody" in checked.stdout
    assert sink.received == []


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


# What somebody puts in the place of a file in LOG_DIR, by what then writes there; and whether that writer refuses.
LEFT = {
    "etl.log": ("etl.sh", True),
    "load.log": ("etl.sh", True),
    "alerts.json": ("etl.sh", False),
    ".alerts.json.part": ("etl.sh", False),
    "report_1.txt.rejects.csv": ("rejects --file report_1.txt", False),
    ".report_1.txt.rejects.csv.part": ("rejects --file report_1.txt", False),
    "report-2013-02.html": ("report --month 2013-02 --csv", False),
    ".report-2013-02.html.part": ("report --month 2013-02 --csv", False),
    "report-2013-02-figures.csv": ("report --month 2013-02 --csv", False),
}


@pytest.mark.parametrize("plant", [link, pipe])
def test_nothing_planted_in_the_log_folder_is_followed(ready: Night, plant: Callable[[Path, Path], None]) -> None:
    """Nor waited for."""
    ready.deliver("report_1.txt", report(line(), b"no line\r\n"))
    assert ready.run().returncode == 0
    (victim := ready.folder / "victim").write_text("old")
    for name, (command, is_refused) in LEFT.items():
        path = ready.logs / name
        path.unlink(missing_ok=True)
        plant(path, victim)
        done = ready.run(*command.split())
        if is_refused:
            assert done.returncode == 13
            assert f"{path} is a link, no file, or another user's: it is not used. Hint: look who made it" in done.stderr
            path.unlink()
        else:
            assert (done.returncode, done.stderr) == (0, ""), name
            assert not os.path.lexists(path) or (path.is_file() and not path.is_symlink()), name
        assert victim.read_text() == "old"


def test_a_pipe_in_the_place_of_a_zip(ready: Night) -> None:
    """The night and whoever looks at the zips end, and say what is wrong."""
    del ready.settings["BACKUP_IDENTITY_FILE"]
    assert ready.run().returncode == 0
    (zipped,) = ready.backups.iterdir()
    zipped.unlink()
    os.mkfifo(zipped)
    for command in ("verify-backups", "restore-drill"):
        done = ready.run(command)
        assert done.returncode == 13
        assert f"{zipped.name}: damaged" in done.stdout + done.stderr
    ready.sql("update load_file set archived_at = null")  # as after a kill in between
    ready.deliver("report_2.txt", report(line("bea@example.com")))
    assert "report_1.txt is in the load log, but neither in WORK_DIR nor in a zip" in ready.run().stderr
    assert ready.statuses()[-1] == ("report_2.txt", "loaded")


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_modes_whatever_the_umask(ready: Night, umask: str) -> None:
    """What the program leaves is its user's alone, but for the metrics, which everybody may read."""
    ready.deliver("report_1.txt", report(line(), b"no line\r\n"))
    for command in (["bash", f"{ETL}/etl.sh"], ["python", ETL, "report", "--csv"], ["python", ETL, "rejects", "--id", "1"]):
        subprocess.run(
            ["bash", "-c", f'umask {umask}; exec "$@"', "-", *command],
            env=ready.environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin"),
            check=True,
            timeout=PATIENCE,
        )
    private = [path for folder in (ready.logs, ready.backups, ready.work) for path in folder.rglob("*") if path.is_file()]
    assert len(private) >= 10
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    (metrics,) = path_of(ready, "METRICS_FILE").iterdir()
    assert metrics.stat().st_mode & 0o777 == 0o644

"""The units of systemd: systemd reads them as they are meant, in any folder, and they shut the night in."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from unittest.mock import patch

import pytest

from base.settings import ROOT, Settings, is_misspelt
from base.trouble import StageError
from commands import crontab, units
from kit.checkout import Checkout
from kit.servers import need

FOLDERS = ["plain", "visitas año", 'it\'s "50%" (of) $HOME & `more`', "back\\slash"]
USER = "daemon" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # no night runs as root
SETTINGS = {
    "SFTP_HOST": "x",
    "SFTP_USER": "x",
    "WORK_DIR": "/var/lib/visitas/work",
    "BACKUP_DIR": "/srv/100 % safe",
    "LOG_DIR": "/var/log/visitas",
}
OF_SYSTEMD = ["CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "LOGNAME", "STATE_DIRECTORY", "SYSTEMD_EXEC_PID"]


def write_settings(path: Path, **changed: str) -> Path:
    """Write a settings file that belongs to an ordinary user."""
    path.write_text("".join(f"{name}='{value}'\n" for name, value in (SETTINGS | changed).items() if value))
    shutil.chown(path, USER)
    return path


@pytest.fixture
def folder(short_tmp: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that everybody may enter: systemd tests units only as an ordinary user."""
    path = short_tmp / f"units{abs(hash(request.node.nodeid))}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def written(checkout: Checkout, folder: Path, *typed: str) -> Path:
    """Have make write the units below a folder; return where they are."""
    done = checkout.make("schedule", "SYSTEMD=1", f"DESTDIR={folder}", *typed)
    assert done.returncode == 0, done.stderr
    return folder / "etc" / "systemd" / "system"


def understood(where: Path, unit: str) -> str:
    """Return what systemd says of a unit that it has read; without a systemd that runs, it does so as an ordinary user."""
    as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    command = [
        *as_user,
        "env",
        f"SYSTEMD_UNIT_PATH={where}:",
        need("/lib/systemd/systemd"),
        "--test",
        "--system",
        f"--unit={unit}",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return re.split(r"^\t-> Unit ", said.partition(f"\t-> Unit {unit}:\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", FOLDERS)
def test_systemd_reads_them_in_any_folder(tmp_path: Path, folder: Path, name: str) -> None:
    checkout = Checkout(tmp_path / name)
    write_settings(checkout.folder / ".env", METRICS_FILE="/srv/node exporter/visitas.prom", NIGHT_LIMIT_HOURS="1.5")
    where = written(checkout, folder, "HOUR=6")
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", *where.iterdir()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    service, timer = understood(where, "visitas.service"), understood(where, "visitas.timer")
    for meant in (
        f"WorkingDirectory: {checkout.folder}",
        "ReadWritePaths: /srv/100 % safe /var/log/visitas /srv/node exporter",
        "StateDirectory: visitas",
        "Environment: ENV_FILE=/run/credentials/visitas.service/env",
        "Command Line: /bin/bash etl/etl.sh",
        f"User: {USER}",
        "RuntimeMaxSec: 2h 30min",
        f"MemoryMax: {2 << 30}",
        "LimitCORE: 0",
    ):
        assert f"\t{meant}\n" in service
    assert f"\nLoadCredential=env:{str(checkout.folder).replace('%', '%%')}/.env\n" in (where / "visitas.service").read_text()
    for meant in ("Unit: visitas.service", "OnCalendar: *-*-* 06:02:00 America/Mexico_City", "Persistent: yes"):
        assert f"\t{meant}\n" in timer


def test_the_sandbox_is_tight(tmp_path: Path, folder: Path) -> None:
    """0 is shut in wholly, 10 not at all. What remains is what a night needs: the network, and files of its own user."""
    checkout = Checkout(tmp_path / "here")
    write_settings(checkout.folder / ".env")
    service = written(checkout, folder) / "visitas.service"
    done = subprocess.run(
        [need("systemd-analyze"), "security", "--offline=true", "--threshold=30", service],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for visitas.service: (\d+\.\d) ", done.stdout)
    assert found
    assert float(found[1]) <= 3.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"WORK_DIR": ""},
            "WORK_DIR is in /tmp/visitas, and the service loses its /tmp when it ends. Hint: for example WORK_DIR=",
        ),
        ({"BACKUP_DIR": "/var/tmp/bckp"}, "BACKUP_DIR is in /var/tmp/bckp"),
        ({"METRICS_FILE": "/tmp/visitas.prom"}, "METRICS_FILE is in /tmp, "),
        ({"TIMEZONE": "Mars/Base"}, "TIMEZONE: not a time zone"),
        ({"ENGINE": "spark"}, "are not made for ENGINE=spark. Hint: make schedule installs a cron line."),
    ],
)
def test_settings_that_a_service_cannot_have(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    checkout = Checkout(tmp_path / "here")
    write_settings(checkout.folder / ".env", **changed)
    done = checkout.make("schedule", "SYSTEMD=1", f"DESTDIR={tmp_path}/dest")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "dest").exists()


def test_without_a_settings_file(tmp_path: Path) -> None:
    done = Checkout(tmp_path / "here").make("schedule", "SYSTEMD=1", f"DESTDIR={tmp_path}/dest")
    assert done.returncode == 2
    assert "there is no settings file" in done.stderr


def test_nothing_of_systemd_looks_like_a_misspelt_setting() -> None:
    assert [name for name in OF_SYSTEMD if is_misspelt(name)] == []


SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$0.called"
[ ! -e "$0.says" ] || { cat "$0.says" >&2; exit 1; }
"""


class Machine:
    """A machine that systemd runs, as far as a test may pretend it."""

    def __init__(self, folder: Path) -> None:
        self.units = folder / "units"
        self.systemctl = folder / "bin" / "systemctl"
        self.systemctl.parent.mkdir()
        self.systemctl.write_text(SYSTEMCTL)
        self.systemctl.chmod(0o755)

    def called(self) -> list[str]:
        """Return with what systemctl was called since the last time."""
        path = self.systemctl.with_name("systemctl.called")
        found = path.read_text().splitlines()
        path.unlink()
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    monkeypatch.setattr(units, "FOLDER", machine.units)
    monkeypatch.setattr(units, "RUNNING", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    umask = os.umask(0o077)
    env_file = write_settings(tmp_path / "env", BACKUP_DIR="/var/lib/visitas/bckp", LOG_DIR="/var/lib/visitas/log")
    with patch.dict(os.environ, ENV_FILE=str(env_file), PATH=f"{machine.systemctl.parent}:{os.environ['PATH']}"):
        yield machine
    os.umask(umask)


def test_install_check_and_remove(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(sftp_host="x", sftp_user="x")
    assert not units.is_installed()
    assert units.install(5, None) == (machine.units, "*-*-* 05:02:00 America/Mexico_City")
    assert machine.called() == ["daemon-reload", "enable visitas.timer", "restart visitas.timer"]
    assert {path.name: path.stat().st_mode & 0o777 for path in machine.units.iterdir()} == dict.fromkeys(units.UNITS, 0o644)
    assert units.install(None, None)[1] == "*-*-* 05:02:00 America/Mexico_City"  # a timer that is there keeps its hour
    machine.called()
    monkeypatch.setattr(crontab, "read_lines", list)
    assert units.is_installed()
    assert units.starter(settings) == "visitas.timer: *-*-* 05:02:00 America/Mexico_City"
    assert machine.called() == ["is-enabled visitas.timer", "is-active visitas.timer"]
    assert units.clock(settings).startswith("America/Mexico_City, today is ")
    units.remove()
    assert machine.called() == ["disable --now visitas.timer", "daemon-reload"]
    assert list(machine.units.iterdir()) == []
    assert not units.is_installed()


def test_when_the_next_night_starts(machine: Machine) -> None:
    need("systemd-analyze")
    units.install(None, None)
    start = units.next_start()
    assert (start.hour, start.minute) == (6, 2)  # 00:02 in Mexico City
    assert 0 <= (start - datetime.now(UTC)).total_seconds() <= 86_400


def refusal(*arguments: int | Path | None) -> str:
    with pytest.raises(StageError) as caught:
        units.install(*(arguments or (None, None)))  # type: ignore[arg-type]
    return str(caught.value)


def test_where_units_cannot_be_installed(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as other:
        other.setattr("os.geteuid", lambda: 1000)
        assert refusal() == "only root may install units of the system. Hint: sudo make schedule SYSTEMD=1"
    with monkeypatch.context() as other:
        other.setattr(units, "RUNNING", tmp_path / "none")
        assert refusal() == "systemd does not run this machine. Hint: make schedule installs a cron line."
    write_settings(tmp_path / "env", LOG_DIR="/srv/none of that")
    assert refusal() == (
        f"there is no /srv/100 % safe and no /srv/none of that. Hint: "
        f"sudo install -d -o {USER} -m 700 '/srv/100 % safe' '/srv/none of that'"
    )
    machine.units.mkdir()
    (machine.units / units.SERVICE).write_text("WorkingDirectory=/srv/other 50%%\n")
    assert refusal().startswith(f"{machine.units}/visitas.service starts the night of /srv/other 50%.")
    assert not units.is_installed()
    assert not machine.systemctl.with_name("systemctl.called").exists()


@pytest.mark.root("own a file of root")
def test_no_night_runs_as_root(machine: Machine, tmp_path: Path) -> None:
    shutil.chown(tmp_path / "env", "root")
    assert "is root's, and the night runs as its owner" in refusal()


def test_what_check_finds(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(sftp_host="x", sftp_user="x")
    units.install(None, None)
    monkeypatch.setattr(crontab, "read_lines", lambda: [f"2 0 * * * cd {quote(str(ROOT))} && bash etl/etl.sh &"])
    with pytest.raises(StageError, match=r"visitas\.timer starts the night, and so does cron: 2 0"):
        units.starter(settings)
    machine.systemctl.with_name("systemctl.says").write_text("disabled\n")
    with pytest.raises(StageError, match=r"systemctl is-enabled visitas\.timer says: disabled\. Hint: sudo make"):
        units.starter(settings)
    with pytest.raises(StageError, match=r"visitas\.timer has the time zone America/Mexico_City, TIMEZONE is UTC"):
        units.clock(settings.model_copy(update={"timezone": "UTC"}))

"""The units of systemd that start the night: a service in a sandbox, and the timer that starts the service.

Their templates are in ``etl/systemd/``. If the units of this folder are installed, they start its night, over a cron line.
"""

import os
import pwd
import re
import shlex
import subprocess
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from base import settings as every_setting
from base import trust
from base.env_file import path_of_env_file
from base.settings import ROOT, Settings
from base.trouble import StageError, Status
from commands import crontab

UNITS = SERVICE, TIMER = "visitas.service", "visitas.timer"
FOLDER = Path("/etc/systemd/system")  # of the units that an administrator installs
RUNNING = Path("/run/systemd/system")  # is there if systemd runs the machine: sd_booted(3)
STATE = Path("/var/lib/visitas")  # the service's StateDirectory
PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - the service has its own, and loses them when it ends
FIELD = re.compile("@([A-Z_]+)@")
STARTS_IN = re.compile(r"^WorkingDirectory=(.+)$", re.MULTILINE)
WHEN = re.compile(r"^OnCalendar=(.+)$", re.MULTILINE)
OUR_WHEN = re.compile(rf"\*-\*-\* (\d\d):{crontab.MINUTE:02}:00 (\S+)")
AGAIN = "sudo make schedule SYSTEMD=1"


def is_installed() -> bool:
    """Return whether the units that are installed start the night of this folder."""
    return folder_of_units() == str(ROOT)


def folder_of_units() -> str | None:
    """Return the folder whose night the installed units start; None if none are installed."""
    try:
        found = STARTS_IN.search((FOLDER / SERVICE).read_text())
    except FileNotFoundError:
        return None
    return found and found[1].replace("%%", "%")


def when(folder: Path | None = None) -> str:
    """Return when the timer in a folder, by default the installed timer, starts the night: in the words of systemd.time(7)."""
    found = WHEN.search(((folder or FOLDER) / TIMER).read_text())
    return found[1] if found else ""


def install(hour: int | None, destdir: Path | None) -> tuple[Path, str]:
    """Install the units and start the timer; return the folder of the units, and when the timer starts the night.

    A timer that is there keeps its hour, unless an hour is given. With a ``destdir`` the units are only written, below it.
    """
    if destdir is None:
        refuse_elsewhere()
    if hour is None:
        kept = OUR_WHEN.fullmatch(when()) if is_installed() else None
        hour = int(kept[1]) if kept else crontab.HOUR
    units = fill_in(hour, is_here=destdir is None)
    folder = Path(f"{destdir or ''}{FOLDER}")
    os.umask(0o022)  # everybody may read units
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in units.items():
        (folder / name).write_text(text)
    if destdir is None:
        call("systemctl", "daemon-reload")
        call("systemctl", "enable", TIMER)
        call("systemctl", "restart", TIMER)
    return folder, when(folder)


def remove() -> None:
    """Stop the timer and remove the units; a night that is at work goes on."""
    call("systemctl", "disable", "--now", TIMER)
    for name in UNITS:
        (FOLDER / name).unlink()
    call("systemctl", "daemon-reload")


def refuse_elsewhere() -> None:
    """Raise StageError unless root asks, on a machine that systemd runs and that has no units of another folder."""
    if not RUNNING.is_dir():
        raise StageError(Status.SETTINGS, "systemd does not run this machine.", "make schedule installs a cron line.")
    if os.geteuid():
        raise StageError(Status.SETTINGS, "only root may install units of the system.", AGAIN)
    if (other := folder_of_units()) not in (None, str(ROOT)):
        raise StageError(Status.SETTINGS, f"{FOLDER / SERVICE} starts the night of {other}.", "run sudo make unschedule there.")


def fill_in(hour: int, *, is_here: bool) -> dict[str, str]:
    """Return the text of each unit by its name; ``is_here`` says that the night's folders must be on this machine."""
    env_file = path_of_env_file(ROOT)
    user = owner_of(env_file)
    trust.TRUSTED.add(user.pw_uid)  # root asks for this user, whose night it is
    os.environ["HOME"] = user.pw_dir  # what ~ means in the settings
    settings = every_setting.load(Settings)
    if settings.engine == "spark":
        fact = "the service's sandbox and its 2 GiB of memory are not made for ENGINE=spark."
        raise StageError(Status.SETTINGS, fact, "make schedule installs a cron line.")
    folders = folders_to_write(settings)
    if is_here and (missing := [folder for folder in folders if not folder.is_dir()]):
        command = shlex.join(["sudo", "install", "-d", "-o", user.pw_name, "-m", "700", *map(str, missing)])
        raise StageError(Status.SETTINGS, f"there is no {' and no '.join(map(str, missing))}.", command)
    values = {
        "USER": user.pw_name,
        "ROOT": escape(ROOT),
        "ENV_FILE": escape(env_file),
        "SECONDS": str(ceil(settings.night_limit_hours * 3600) + 3600),
        "FOLDERS": " ".join(map(quote, folders)),
        "HOUR": f"{hour:02}",
        "TIMEZONE": settings.timezone,
    }
    templates = ROOT / "etl" / "systemd"
    return {name: FIELD.sub(lambda found: values[found[1]], (templates / name).read_text()) for name in UNITS}


def owner_of(env_file: Path) -> pwd.struct_passwd:
    """Return the account that owns the settings file: the night runs as this user, who may be anybody but root."""
    if not env_file.is_file():
        raise StageError(Status.SETTINGS, f"there is no settings file {env_file}.", "cp .env.example .env, and fill it in.")
    owner = pwd.getpwuid(env_file.stat().st_uid)
    if owner.pw_uid == 0:
        raise StageError(
            Status.SETTINGS, f"{env_file} is root's, and the night runs as its owner.", "sudo chown gives it to an ordinary user."
        )
    return owner


def folders_to_write(settings: Settings) -> list[Path]:
    """Return the folders that the night writes to, the service's StateDirectory left out; refuse those that would not last."""
    folders = {"WORK_DIR": settings.work_dir, "BACKUP_DIR": settings.backup_dir, "LOG_DIR": settings.log_dir}
    if settings.metrics_file:
        folders["METRICS_FILE"] = settings.metrics_file.parent
    for name, folder in folders.items():
        if any(folder.resolve().is_relative_to(private) for private in PRIVATE):
            raise StageError(
                Status.SETTINGS,
                f"{name} is in {folder}, and the service loses its /tmp when it ends.",
                f"for example {name}={STATE / name.partition('_')[0].lower()}",
            )
    return [folder for folder in folders.values() if not folder.resolve().is_relative_to(STATE)]


def escape(path: Path) -> str:
    """Return a path as a setting has it that takes the rest of its line."""
    if "\n" in str(path):
        raise StageError(Status.SETTINGS, "the name of a folder has a line break.", "give the folder another name.")
    return str(path).replace("%", "%%")  # a bare % begins a specifier


def quote(path: Path) -> str:
    """Return a path as a setting has it that takes several."""
    return '"' + escape(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def call(*command: str) -> str:
    """Call a program of systemd and return what it prints, times in UTC; raise StageError if it fails."""
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise StageError(Status.SETTINGS, f"{command[0]} is not installed.", "make schedule installs a cron line.") from error
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise StageError(Status.SETTINGS, f"{' '.join(command)} says: {words}.", AGAIN)
    return done.stdout


def starter(settings: Settings) -> str:
    """Verify that one thing starts the night: the timer if the units are installed, else a cron line."""
    if not is_installed():
        return crontab.cron(settings)
    call("systemctl", "is-enabled", TIMER)
    call("systemctl", "is-active", TIMER)
    try:
        line = crontab.entries()[0].line
    except StageError:  # no cron line, as it should be
        return f"{TIMER}: {when()}"
    raise StageError(Status.SETTINGS, f"{TIMER} starts the night, and so does cron: {line}", "take the line out with crontab -e.")


def clock(settings: Settings) -> str:
    """Verify that a night begins on the day that it is in TIMEZONE."""
    if not is_installed():
        return crontab.clock(settings)
    ours = OUR_WHEN.fullmatch(when())
    if ours and ours[2] != settings.timezone:
        raise StageError(Status.SETTINGS, f"{TIMER} has the time zone {ours[2]}, TIMEZONE is {settings.timezone}.", AGAIN)
    return f"{settings.timezone}, today is {settings.as_of}"


def next_start() -> datetime:
    """Return when systemd starts the next night, or raise StageError if the timer is not at work."""
    call("systemctl", "is-active", TIMER)
    said = call("systemd-analyze", "calendar", when())
    return datetime.strptime(said.partition("Next elapse: ")[2].splitlines()[0], "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)

"""What other users could have changed or planted: looked at before it is used, by ssh's own rules.

Trusted are root, this user, and the owner of this program, who could change the program itself.
"""

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

from base.files import open_plain
from base.trouble import StageError, Status

GROUP, EVERYBODY = stat.S_IWGRP, stat.S_IWOTH
ME = os.geteuid()
TRUSTED = {0, ME, Path(__file__).stat().st_uid}
NOT_FOLLOWED = (errno.ELOOP, errno.ENXIO)  # what open says of a link, and of a pipe that nobody reads or a socket


class Rule(NamedTuple):
    """What must hold for a file or a folder."""

    status: Status  # how a script ends that refuses it
    writers: int  # bits of the mode: who may not write there
    is_mine: bool = False  # it belongs to this user, and is no link: its content is taken for our own
    has_any_owner: bool = False


SECRET = Rule(Status.SETTINGS, GROUP | EVERYBODY)
READ = Rule(Status.SETTINGS, EVERYBODY)
FOLDER = Rule(Status.DISK, EVERYBODY)
OWN = Rule(Status.DISK, GROUP | EVERYBODY, is_mine=True)
RULES = {
    "settings file": SECRET,
    "SFTP_KEY_FILE": SECRET,
    "BACKUP_IDENTITY_FILE": SECRET,
    "SFTP_KNOWN_HOSTS": READ,
    "SMTP_CA_FILE": READ,
    "WORK_DIR": OWN,
    "LANDING_URL": OWN,
    "LAKE_URL": FOLDER,
    "BACKUP_DIR": FOLDER,
    "LOG_DIR": FOLDER,
    "folder of METRICS_FILE": Rule(Status.DISK, EVERYBODY, has_any_owner=True),  # a collector's; nothing is read there
}


def read(name: str, path: Path) -> bytes:
    """Return the bytes of a file that RULES names.

    Raise StageError if another user could have changed the file, OSError if the file cannot be read.
    """
    with open_plain(path) as file:
        refuse(name, path, os.fstat(file.fileno()))
        os.set_blocking(file.fileno(), True)  # it may be a pipe of ours
        return file.read()


def verify(name: str, path: Path) -> None:
    """Raise StageError if another user could have changed or planted what RULES names; what is not there yet is good."""
    refuse(name, path, path.stat() if path.exists() else None)


def make_folder(name: str, folder: Path) -> None:
    """Make a folder that RULES names if it is not there; raise StageError if another user could have changed or planted it."""
    verify(name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    verify(name, folder)


def refuse(name: str, path: Path, info: os.stat_result | None) -> None:
    """Raise StageError if another user could have changed what stands at a path; ``info`` is what a link there leads to."""
    if found := flaw(path, info, RULES[name]):
        why, cure = found
        raise StageError(RULES[name].status, f"{name} {path} {why}.", f"look at what it holds, then {cure}.")


def flaw(path: Path, info: os.stat_result | None, rule: Rule) -> tuple[str, str] | None:
    """Return how another user could have changed what stands at a path, and what heals that; None if nobody could."""
    found = [path.lstat()] if path.is_symlink() else []
    if found and rule.is_mine:
        return "is a link", "remove it"
    found += [info] if info and not rule.has_any_owner else []
    for owner in [each.st_uid for each in found]:
        if owner not in ({ME} if rule.is_mine else TRUSTED):
            return f"belongs to another user (id {owner})", f"chown {ME} {shlex.quote(str(path))}, or run this as user {owner}"
    if info and rule.status is Status.DISK and not stat.S_ISDIR(info.st_mode):
        return "is not a folder", "remove it"
    if info and (writers := writers_of(info, rule)):
        whose = "everybody" if writers & EVERYBODY else "its group"
        return f"can be changed by {whose}", f"chmod {'go' if rule.writers & GROUP else 'o'}-w {shlex.quote(str(path))}"
    for folder in (*path.parents, *Path(os.path.realpath(path)).parents):
        if folder.exists() and writers_of(folder.stat(), FOLDER):
            return f"can be exchanged by everybody who may write to {folder}", f"chmod o-w {shlex.quote(str(folder))}"
    return None


def writers_of(info: os.stat_result, rule: Rule) -> int:
    """Return the bits of the mode that let others write. In a sticky folder they can change nothing that is not theirs."""
    if stat.S_ISCHR(info.st_mode):  # a device such as /dev/null, which keeps nothing
        return 0
    is_sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX and not rule.is_mine
    return 0 if is_sticky else info.st_mode & rule.writers


def cure_for_readers(path: Path) -> str | None:
    """Return the command that closes a secret file to other readers, None if it is closed.

    A file that is not this user's, but root's, may be read by its group: by that, this user reads it.
    """
    info = path.stat()
    mode = 0o600 if info.st_uid == ME else 0o640
    return f"chmod {mode:o} {shlex.quote(str(path))}" if stat.S_IMODE(info.st_mode) & ~mode & 0o077 else None


def open_mine(path: str, flags: int) -> int:
    """Open a file in a folder where others may write, and return its descriptor: an opener for ``open``. A new one has mode 0600.

    Raise StageError for whatever another user could have put there: a link, a pipe, a file of that user.
    """
    planted = StageError(
        Status.DISK, f"{path} is a link, no file, or another user's: it is not used.", "look who made it, and remove it."
    )
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in NOT_FOLLOWED:
            raise planted from error
        raise
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or info.st_uid not in TRUSTED:
        os.close(descriptor)
        raise planted
    return descriptor

"""The folders and the secret files of an installation, as make check looks at them."""

import shutil
import tempfile
from pathlib import Path

from base import trust
from base.counting import count_of
from base.env_file import path_of_env_file
from base.settings import ROOT, Settings
from base.trouble import StageError, Status

ROOM = 1 << 30  # bytes that a folder's disk should have free


def secrets(settings: Settings) -> str:
    """Verify that no other user can read the secret files, or could have changed them."""
    named = {"SFTP_KEY_FILE": settings.sftp_key_file, "BACKUP_IDENTITY_FILE": settings.backup_identity_file}
    paths = {name: path for name, path in named.items() if path and path.exists()}
    for name, path in paths.items():
        trust.verify(name, path)
    secret = [path for path in (path_of_env_file(ROOT), *paths.values()) if path.is_file()]
    if cures := {str(path): cure for path in secret if (cure := trust.cure_for_readers(path))}:
        raise StageError(Status.SETTINGS, f"others can read {', '.join(cures)}.", "; ".join(cures.values()))
    return f"{count_of(len(secret), 'file')} that no other user can read"


def folder(name: str, path: Path) -> str:
    """Verify that a folder can be written to, or can be made, is ours, and has room; makes nothing."""
    try:
        trust.verify(name, path)
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise StageError(Status.DISK, f"{path}: {error.strerror}.", "give this user the right to write there.") from error
    if free < ROOM:
        raise StageError(Status.DISK, f"{path}: {free / 1e9:.1f} GB free.", "a night needs about three times its reports.")
    return f"{path}{'' if there == path else ', made by the first night'}, {free / 1e9:,.0f} GB free"


def work_folder(settings: Settings) -> str:
    """Verify WORK_DIR."""
    return folder("WORK_DIR", settings.work_dir)


def backup_folder(settings: Settings) -> str:
    """Verify BACKUP_DIR."""
    return folder("BACKUP_DIR", settings.backup_dir)


def log_folder(settings: Settings) -> str:
    """Verify LOG_DIR."""
    return folder("LOG_DIR", settings.log_dir)


def metrics(settings: Settings) -> str:
    """Verify that the metrics can be written."""
    return folder("folder of METRICS_FILE", settings.metrics_file.parent) if settings.metrics_file else "not set"

"""The project in another folder, as somebody has it who cloned it and installed its packages."""

import os
import shutil
import subprocess
from pathlib import Path

from kit.servers import PATIENCE, ROOT

LEFT_BEHIND = (".git", ".venv", ".local", ".env", ".hypothesis", "__pycache__", ".*_cache", "tests", "*.log*")


class Checkout:
    """A copy of the project, with the virtual environment of this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        (folder / "tests").mkdir()
        shutil.copytree(ROOT / "tests" / "kit", folder / "tests" / "kit")
        shutil.copy(ROOT / "tests" / "requirements.lock", folder / "tests")
        (folder / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (folder / ".venv" / name).symlink_to((ROOT / ".venv").resolve() / name)
        for name in ("python", "etl", "monthly", "postgres", "spark", "tests"):  # what make takes for installed
            (folder / ".venv" / name).touch()
        for path in folder.rglob("requirements.lock"):
            os.utime(path, (0, 0))

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run make here, in cron's bare environment and what is given; return how it ended, with what it printed."""
        with self.begin(*arguments, **environment) as process:
            said, complained = process.communicate(timeout=2 * PATIENCE)
            return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Begin to run make here, in a group of processes of its own, as a terminal would; what is empty is not set."""
        given = {"HOME": str(self.folder.parent), "PATH": "/usr/bin:/bin"} | environment
        return subprocess.Popen(
            ["make", *arguments],
            cwd=self.folder,
            env={name: value for name, value in given.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

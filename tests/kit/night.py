"""A night between the servers: its folders, its settings and the way to run it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from kit.servers import ETL, PATIENCE, execute


class Night:
    """The folders and settings of one night, and the way to run it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.source, self.work, self.backups, self.logs = (folder / name for name in ("source", "work", "bckp", "logs"))
        self.source.mkdir()
        self.settings = {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_USER": "nobody",
            "SFTP_PORT": "1",
            "SFTP_REMOTE_DIR": str(self.source),
            "WORK_DIR": str(self.work),
            "BACKUP_DIR": str(self.backups),
            "LOG_DIR": str(self.logs),
            "MIN_AGE_SECONDS": "0",
            "RETRY_SECONDS": "0",
            "AS_OF": "2013-02-15",
        } | settings

    def environment(self, **changed: str) -> dict[str, str]:
        """Return cron's bare environment with the settings; ``changed`` settings win."""
        bare = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "ENV_FILE": "/dev/null", "PYTHONWARNINGS": "error"}
        return bare | self.settings | changed

    def run(self, script: str = "etl.sh", *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a script, or a command by its name; return its exit status and its output."""
        interpreter = "bash" if script.endswith(".sh") else sys.executable
        command = [str(ETL / script)] if "." in script else [str(ETL), script]
        return subprocess.run(
            [interpreter, *command, *arguments],
            env=self.environment(**changed),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    def deliver(self, name: str, content: bytes | Path) -> Path:
        """Put a report on the server and return its path."""
        path = self.source / name
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return path

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement in the night's database and return its rows."""
        return execute(self.settings["DATABASE_URL"], statement, *values)

    def statuses(self) -> list[tuple[str, str]]:
        """Return name and status of every delivery, in the order of loading."""
        return [(name, status) for name, status in self.sql("select name, status from load_file order by id")]

    def left_in_work(self) -> list[str]:
        """Return the files left in the work directory; the files that always stay there do not count."""
        return sorted(
            str(path.relative_to(self.work))
            for path in self.work.rglob("*")
            if path.is_file() and path.name not in (".lock", ".left")
        )

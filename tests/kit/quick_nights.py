"""Nights of transform, load and archive only, in this process: for tests of many nights on a real Postgres."""

import os
import subprocess
import sys
import zipfile
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from archive import archive
from base.run import Run
from base.settings import Settings
from base.workdir import WorkDir
from kit.servers import ETL, execute
from load import load_reports
from postgres.database import Database
from postgres.statements import rows
from transform import stage_report


class QuickNights:
    """One night after the other without an SFTP server: the files are put into the work directory."""

    def __init__(self, folder: Path, database: str, **more: str) -> None:
        """Nights with ``more`` settings, by their names in small letters."""
        self.folder = folder
        self.database = database
        self.more = more
        self.files = 0
        self.runs = 0

    def settings(self, as_of: date = date(2013, 2, 15), event: str = "envio", error_rate: float = 1.0) -> Settings:
        """Return the settings of a night."""
        return Settings(
            sftp_host="x",
            sftp_user="x",
            database_url=self.database,
            work_dir=self.folder / "work",
            backup_dir=self.folder / "bckp",
            as_of=as_of,
            visit_event=event,
            max_error_rate=error_rate,
            retry_seconds=0,
            **self.more,
        )

    def environment(self) -> dict[str, str]:
        """Return the nights' settings as variables of the environment."""
        folders = {"WORK_DIR": self.folder / "work", "BACKUP_DIR": self.backups, "LOG_DIR": self.folder / "log"}
        own = {"SFTP_HOST": "x", "SFTP_USER": "x", "DATABASE_URL": self.database}
        return own | {name: str(path) for name, path in folders.items()} | {key.upper(): self.more[key] for key in self.more}

    def command(self, name: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command for people with the nights' settings, and ``more``, by their names in the environment."""
        return subprocess.run(
            [sys.executable, str(ETL), name, *arguments],
            env=os.environ | self.environment() | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def backups(self) -> Path:
        """The folder of the zips."""
        return self.folder / "bckp"

    def night(self, files: list[bytes], as_of: date = date(2013, 2, 15), event: str = "envio", error_rate: float = 1.0) -> None:
        """Stage, load and archive the files; without files only the counters move."""
        self.load(files, as_of, event, error_rate)
        settings = self.settings(as_of, event)
        work, database = WorkDir(settings), Database(settings)
        archive(database, work, settings)
        database.close()
        for report in work.reports():
            report.remove()

    def load(self, files: list[bytes], as_of: date, event: str, error_rate: float = 1.0) -> None:
        """Stage and load the files; without files only the counters move."""
        settings = self.settings(as_of, event, error_rate)
        work = WorkDir(settings)
        run = self.next_run()
        reports = []
        for content in files:
            self.files += 1
            reports.append(work.report(f"report_{self.files}.txt"))
            reports[-1].path.write_bytes(content)
            stage_report(reports[-1])
        load_reports(reports, run, settings)

    def next_run(self) -> Run:
        """Return the run of the next night."""
        self.runs += 1
        return Run(f"20130215T000200Z-{self.runs}", "test")

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement in the database and return its rows."""
        return execute(self.database, statement, *values)

    def ask(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement of ``sql/`` in the database and return its rows."""
        with closing(Database(self.settings())) as database:
            return database.run(rows, statement, values)

    def zipped(self) -> dict[str, bytes]:
        """Return the content of every report in the zips, by name."""
        found = {}
        for path in (self.folder / "bckp").glob("*.zip"):
            with zipfile.ZipFile(path) as archive:
                found |= {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
        return found

    def forget(self) -> None:
        """Empty the tables and delete the zips."""
        tables = "visitor, visitor_basis, statistics, errors, load_gap, load_campaign, load_reject, load_file, load_zip, load_run"
        execute(self.database, f"truncate {tables}, load_change, load_replay, load_erased, lake_night")
        for path in (self.folder / "bckp").glob("*.zip"):
            path.unlink()

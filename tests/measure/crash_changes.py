"""Kill each command that changes data at every point where it could hurt: everything is as before, or as after.

A second try then ends as the first should have.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kit.night import Night
from kit.recount import assert_lawful
from kit.servers import ETL, OpenSSH, Postgres
from measure.crash import CALLS, Point, points_of, prepare, settle

COMMANDS = {
    "undo": ("--file", "report_7.txt", "--yes"),
    "reload": ("--file", "report_11.txt", "--yes"),
    "replay": ("--rejects", "{logs}/report_7.txt.rejects.csv", "--yes"),
    "forget": ("--email", "ana@example.com", "--yes"),
}
NUMBERED = "with numbered as (select id, row_number() over (order by id) as n from load_file)"
# What a change leaves, whatever the ids; without times.
STATE = (
    "select * from visitor order by email",
    f"{NUMBERED} select n, to_jsonb(s) - 'file_id' from statistics s join numbered on id = file_id order by n, line_number",
    f"{NUMBERED} select n, to_jsonb(e) - 'file_id' from errors e join numbered on id = file_id order by n, line_number",
    f"{NUMBERED} select n, what, lines from load_change c join numbered on numbered.id = file_id order by c.id",
    f"{NUMBERED} select n, line_number from load_replay join numbered on id = file_id order by 1, 2",
    "select * from load_erased order by 1, 2",
    "select name, sha256, status, rows_read, rows_loaded, rows_rejected, visitors_new + visitors_updated, reload_of is null,"
    " archive_name, source_deleted_at is null from load_file order by id",
)


class ChangeGround:
    """A night after which each command has something to change, and copies of it to be killed on."""

    def __init__(self, folder: Path, postgres: Postgres, openssh: OpenSSH) -> None:
        self.folder, self.postgres, self.openssh = folder, postgres, openssh
        self.base = self._night("changes_base")
        prepare(self.base)
        assert self.base.run().returncode == 3  # for the refused file
        assert self.base.run("undo", "--file", "report_11.txt", "--yes").returncode == 0
        assert self.base.run("rejects", "--file", "report_7.txt").returncode == 0
        path = self.base.logs / "report_7.txt.rejects.csv"
        path.write_text(path.read_text().replace('"nobody,,,"', '"ana@example.com,,,,10/02/2013 10:00,-,0,0,-,0,0,-,-,-,-"'))
        settle(self.base)

    def _night(self, name: str, template: str | None = None) -> Night:
        (folder := self.folder / name).mkdir()
        url = self.postgres.create(name, template) if template else self.postgres.create(name)
        return Night(folder, self.openssh.settings() | {"DATABASE_URL": url})

    @contextmanager
    def copy(self, name: str) -> Iterator[Night]:
        """Yield a copy of the night; delete it afterwards if all went well."""
        night = self._night(name, "changes_base")
        for folder in ("bckp", "logs", "work"):
            shutil.copytree(self.base.folder / folder, night.folder / folder)
        yield night
        self.postgres.drop(name)
        shutil.rmtree(night.folder)

    def points(self, command: str) -> list[Point]:
        """Return every point where the command can be killed."""
        with self.copy(f"census_{command}") as night:
            trace = night.folder / "trace"
            assert run_traced(night, command, ["-o", str(trace), "-e", f"trace={','.join(CALLS)}"]) == 0
            return points_of(command, trace.read_text())

    def states(self, command: str) -> tuple[list[Any], list[Any]]:
        """Return the state before the command, and after it."""
        with self.copy(f"states_{command}") as night:
            before = state(night)
            assert run_traced(night, command) == 0
            return before, state(night)

    def is_clean(self, name: str, point: Point, states: tuple[list[Any], list[Any]]) -> bool:
        """Kill the command at the point, and try again; return whether all was as before or as after, and then as after."""
        with self.copy(name) as night:
            inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
            ended = run_traced(night, point.stage, ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject])
            settle(night)
            found = state(night)
            if ended not in (-signal.SIGKILL, 128 + signal.SIGKILL) or found not in states:
                return found == states[1]  # the kill came too late to hit anything
            assert_lawful(night)
            again = run_traced(night, point.stage)
            is_left = (night.work / "reload").exists()
            return (again, state(night), is_left) == (0 if found == states[0] else 2, states[1], False)


def state(night: Night) -> list[Any]:
    """Return everything that commands change."""
    return [night.sql(statement) for statement in STATE]


def run_traced(night: Night, command: str, strace: list[str] | None = None) -> int:
    """Run a command, under strace if there are options for strace, and return its status."""
    arguments = [argument.format(logs=night.logs) for argument in COMMANDS[command]]
    called = [sys.executable, str(ETL), command, *arguments]
    if strace is not None:
        called = ["strace", "-f", "-qqq", *strace, *called]
    return subprocess.run(called, env=night.environment(), cwd="/", capture_output=True, timeout=120, check=False).returncode


def kill_everywhere(ground: ChangeGround) -> int:
    """Kill each command at every point; return 1 if one left anything between before and after."""
    between = points = 0
    for command in COMMANDS:
        states = ground.states(command)
        for number, point in enumerate(tqdm(ground.points(command), desc=command, unit="crash", disable=None)):
            points += 1
            if not ground.is_clean(f"{command}_{number}", point, states):
                between += 1
                print(f"{point}: neither before nor after, or the second try ended otherwise")
    print(f"{points} crash points of changes, {between} left something between")
    return int(between > 0)

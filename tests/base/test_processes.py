"""Processes that share a script's work: in order, stopped by the first trouble, and never alive without their parent."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from base.processes import share_out
from base.trouble import StageError, Status
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, need, wait_for

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one processor nothing is forked")
REPORTS = 4
LINES = 30_000  # with addresses that the fast path leaves: seconds of work
PROCESSES = min(len(os.sched_getaffinity(0)), REPORTS)


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def test_results_come_in_order_from_other_processes() -> None:
    squares, processes = zip(*share_out(square, range(1000)), strict=True)
    assert squares == tuple(number * number for number in range(1000))
    assert os.getpid() not in processes


def test_one_item_needs_no_other_process() -> None:
    assert list(share_out(square, [3])) == [(9, os.getpid())]


def test_one_processor_needs_no_other_process() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(before)])
    try:
        assert {process for _, process in share_out(square, range(10))} == {os.getpid()}
    finally:
        os.sched_setaffinity(0, before)


def note(folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    if number == 3:
        raise FileNotFoundError(2, "gone", "that file")


def test_the_first_trouble_is_raised_as_it_was_and_leaves_the_rest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        list(share_out(partial(note, tmp_path), range(5000)))
    assert (caught.value.filename, caught.value.strerror) == ("that file", "gone")
    assert (tmp_path / "0").exists()
    assert len(list(tmp_path.iterdir())) < 1000


def refuse(_: int) -> None:
    raise StageError(Status.DISK, "full.", "free space.")


def test_expected_trouble_stays_what_it_is() -> None:
    with pytest.raises(StageError, match=r"^full\. Hint: free space\.$") as caught:
        list(share_out(refuse, range(2)))
    assert caught.value.status is Status.DISK


DYING = """
import os, signal, sys, time
from base.processes import share_out

def work(number):
    if number == 0:
        raise ValueError
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)

list(share_out(work, range(int(sys.argv[1]), 12)))
"""


@pytest.mark.parametrize(("first", "ends"), [(0, 1), (1, -signal.SIGKILL)])  # with an exception before the kill, and without
def test_the_kill_of_one_process_kills_all(first: int, ends: int) -> None:
    done = subprocess.run([sys.executable, "-c", DYING, str(first)], cwd=ETL, timeout=PATIENCE, capture_output=True, check=False)
    assert done.returncode == ends


def test_ctrl_c_finds_every_process_prepared() -> None:
    """Each process gets Ctrl-C right after its fork, and ends without a word. The script gets no Ctrl-C: it sees a kill."""
    script = (
        "import os, signal; from base.processes import share_out;"
        " os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT)); list(share_out(abs, range(8)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ETL, timeout=PATIENCE, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")


def test_without_more_processes_this_one_does_the_work() -> None:
    """The kernel refuses the second process; the first does not wait for ever."""
    script = (
        "import os; from base.processes import share_out;"
        " print({*share_out(lambda _: os.getpid(), range(8), 4)} == {os.getpid()})"
    )
    refuse = [need("strace"), "-f", "-qq", "-e", "trace=clone", "-e", "inject=clone:error=EAGAIN:when=2"]
    done = subprocess.run(
        [*refuse, sys.executable, "-c", script], cwd=ETL, timeout=PATIENCE, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n")
    assert "INJECTED" in done.stderr


@contextmanager
def at_work(night: Night) -> Iterator[tuple["subprocess.Popen[str]", list[psutil.Process]]]:
    """Run transform until all its processes are at work; yield transform and those processes."""
    for number in range(REPORTS):
        night.deliver(f"report_{number}.txt", report(*(line(f"P{number}_{one}@example.com") for one in range(LINES))))
    assert night.run("extract.py").returncode == 0
    command = [sys.executable, str(ETL / "transform.py")]
    with subprocess.Popen(command, env=night.environment(), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        transform = psutil.Process(process.pid)
        wait_for(lambda: len(transform.children()) == PROCESSES and len(list((night.work / "staged").glob(".*"))) == PROCESSES)
        processes = transform.children()
        yield process, processes


def heals(night: Night) -> None:
    assert night.run().returncode == 0
    assert night.statuses() == [(f"report_{number}.txt", "loaded") for number in range(REPORTS)]
    assert night.sql("select sum(visitas_totales) from visitor") == [(REPORTS * LINES,)]


def test_a_killed_transform_leaves_nobody_who_holds_the_lock(night: Night) -> None:
    with at_work(night) as (transform, processes):
        transform.kill()
        assert transform.wait() == -signal.SIGKILL
        gone, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert (len(gone), alive) == (PROCESSES, [])
    heals(night)


def test_the_kill_of_a_process_ends_transform_like_a_kill(night: Night) -> None:
    with at_work(night) as (transform, processes):
        processes[0].kill()
        _, said = transform.communicate(timeout=PATIENCE)
    assert (transform.returncode, said) == (-signal.SIGKILL, "")
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    heals(night)


def test_ctrl_c_reaches_all_and_one_reports_it(night: Night) -> None:
    with at_work(night) as (transform, processes):
        os.killpg(transform.pid, signal.SIGINT)
        _, said = transform.communicate(timeout=PATIENCE)
    assert (transform.returncode, said) == (130, "transform: interrupted; the next run continues from here.\n")
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    heals(night)


def test_the_bar_shows_what_all_have_done(night: Night) -> None:
    for number in range(REPORTS):
        night.deliver(f"report_{number}.txt", report(*(line(f"P{number}_{one}@example.com") for one in range(LINES))))
    assert night.run("extract.py").returncode == 0
    shown, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    command = [sys.executable, str(ETL / "transform.py")]
    subprocess.run(command, env=night.environment(), stderr=terminal, check=True, timeout=PATIENCE)
    percents = [int(found) for found in re.findall(rb"transform: +(\d+)%", os.read(shown, 1 << 16))]
    os.close(terminal)
    os.close(shown)
    assert percents[0] == 0
    assert percents == sorted(percents)
    assert percents[-1] > 100 // PROCESSES  # more than any one process's part

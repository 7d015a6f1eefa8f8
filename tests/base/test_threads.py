"""Threads with a connection each: every item is done once, a thread does one at a time, the first trouble stops all."""

import os
import pty
import subprocess
import sys
import termios
import threading
import time

import pytest

from base.threads import in_threads
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE


def always(connection: str) -> bool:
    return True


def test_only_the_first_connection_is_used_ready_or_not() -> None:
    for ready, used in (("ab", {"a", "b"}), ("b", {"a", "b"}), ("a", {"a"}), ("", {"a"})):
        both = threading.Barrier(len(used))

        def work(connection: str, item: int, both: threading.Barrier = both) -> str:
            if item < both.parties:
                both.wait(PATIENCE)
            return connection

        assert set(in_threads("ab", work, range(4), ready.__contains__)) == used


def test_items_are_begun_in_order_and_a_connection_has_one_at_a_time() -> None:
    at_work: set[str] = set()
    begun: list[int] = []

    def work(connection: str, item: int) -> int:
        assert connection not in at_work
        at_work.add(connection)
        begun.append(item)
        time.sleep(0.01 if item % 3 else 0.03)
        at_work.remove(connection)
        return item * item

    assert sorted(in_threads("ab", work, range(20), always)) == [number * number for number in range(20)]
    assert all(abs(item - place) <= 3 for place, item in enumerate(begun))


def test_the_first_trouble_is_raised_and_leaves_the_rest() -> None:
    begun = []

    def work(connection: str, item: int) -> None:
        begun.append(item)
        time.sleep(0.1)
        if item == 3:
            raise ValueError(item)

    with pytest.raises(ValueError, match="3"):
        in_threads("ab", work, range(100), always)
    assert 4 <= len(begun) < 20


def test_a_failure_in_every_thread_begins_nothing_new() -> None:
    begun, both = [], threading.Barrier(2)

    def work(connection: str, item: int) -> None:
        begun.append(item)
        both.wait(PATIENCE)
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"0|1"):
        in_threads("ab", work, range(10), always)
    assert sorted(begun) == [0, 1]


def test_copies_in_one_night_the_first_is_loaded(night: Night) -> None:
    for number in range(8):
        night.deliver(f"report_{number}.txt", report(*(line(f"p{one}@example.com") for one in range(500))))
    assert night.run().returncode == 0
    assert night.statuses() == [("report_0.txt", "loaded")] + [(f"report_{number}.txt", "duplicate") for number in range(1, 8)]


def test_progress_on_a_terminal_only(night: Night) -> None:
    for name in ("report_1.txt", "report_2.txt"):  # a file for each thread
        night.deliver(name, report(*(line(f"p{number}@example.com") for number in range(5000))))
    for stage in ("extract", "transform", "load", "archive"):
        shown, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        os.set_blocking(shown, False)
        command = [sys.executable, str(ETL / f"{stage}.py")]
        subprocess.run(command, env=night.environment(), stderr=terminal, check=True, timeout=PATIENCE)
        bar = os.read(shown, 1 << 16).decode()
        os.close(terminal)
        os.close(shown)
        assert stage in bar
        assert "B/s]" in bar
    night.deliver("report_3.txt", report(line()))
    assert night.run().stderr == ""

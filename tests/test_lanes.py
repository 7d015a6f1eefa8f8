"""Several connections side by side: in order, one item each, and stopped by the first trouble."""

import os
import pty
import socket
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from lanes import side_by_side
from parts import ETL, Night, line, report
from remote import LANE_WORTH, LANES


def test_results_come_in_order_and_a_lane_has_one_item_at_a_time() -> None:
    at_work: set[str] = set()

    def work(lane: str, item: int) -> int:
        assert lane not in at_work
        at_work.add(lane)
        time.sleep(0.01 if item % 3 else 0.03)
        at_work.remove(lane)
        return item * item

    assert list(side_by_side("ab", work, range(20))) == [number * number for number in range(20)]


def test_the_first_trouble_is_raised_and_leaves_the_rest() -> None:
    begun = []

    def work(lane: str, item: int) -> None:
        begun.append(item)
        time.sleep(0.02)
        if item == 3:
            raise ValueError(item)

    with pytest.raises(ValueError, match="3"):
        list(side_by_side("ab", work, range(100)))
    assert 4 <= len(begun) < 20


def test_a_failure_in_every_lane_begins_nothing_new() -> None:
    begun = []

    def work(lane: str, item: int) -> None:
        begun.append(item)
        time.sleep(0.02)
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"0|1"):
        list(side_by_side("ab", work, range(10)))
    assert sorted(begun) == [0, 1]


def many(night: Night) -> int:
    """Deliver enough files for every lane and return how many."""
    count = LANES * LANE_WORTH
    for number in range(count):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com"), line("all@example.com")))
    return count


def test_many_files_over_many_connections(night: Night) -> None:
    count = many(night)
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert night.statuses() == [(f"report_{number}.txt", "loaded") for number in range(count)]
    assert night.sql("select visitas_totales from visitor where email = 'all@example.com'") == [(count,)]
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(count + 1, 2 * count)]
    assert (list(night.source.iterdir()), night.left_in_work()) == ([], [])
    assert "going on with" not in (night.logs / "extract.log").read_text()


def relay(listener: socket.socket, port: int) -> None:
    """Pass on the first connection of the listener, and refuse every other."""
    with listener:
        inside = listener.accept()[0]

    def pump(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    with inside, socket.create_connection(("127.0.0.1", port)) as outside:
        back = threading.Thread(target=pump, args=(outside, inside))
        back.start()
        pump(inside, outside)
        back.join()


def test_a_server_that_allows_one_connection(night: Night) -> None:
    count = many(night)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    passing = threading.Thread(target=relay, args=(listener, int(night.settings["SFTP_PORT"])))
    passing.start()
    known = night.folder / "known_hosts"
    known.write_text(Path(night.settings["SFTP_KNOWN_HOSTS"]).read_text().replace(night.settings["SFTP_PORT"], str(port)))
    done = night.run("extract.py", SFTP_PORT=str(port), SFTP_KNOWN_HOSTS=str(known))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(night.work.glob("report_*"))) == count
    passing.join(10)
    assert not passing.is_alive()
    assert "going on with connections=1" in (night.logs / "extract.log").read_text()


def test_copies_in_one_night_the_first_is_loaded(night: Night) -> None:
    for number in range(8):
        night.deliver(f"report_{number}.txt", report(*(line(f"p{one}@example.com") for one in range(500))))
    assert night.run().returncode == 0
    assert night.statuses() == [("report_0.txt", "loaded")] + [(f"report_{number}.txt", "duplicate") for number in range(1, 8)]


def test_progress_on_a_terminal_only(night: Night) -> None:
    night.deliver("report_1.txt", report(*(line(f"p{number}@example.com") for number in range(5000))))
    for stage in ("extract", "transform", "load", "archive"):
        shown, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        os.set_blocking(shown, False)
        command = [sys.executable, str(ETL / f"{stage}.py")]
        subprocess.run(command, env=night.environment(), stderr=terminal, check=True)
        bar = os.read(shown, 1 << 16).decode()
        os.close(terminal)
        os.close(shown)
        assert stage in bar
        assert "B/s]" in bar
    night.deliver("report_2.txt", report(line()))
    assert night.run().stderr == ""

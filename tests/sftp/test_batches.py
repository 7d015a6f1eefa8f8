"""Many files over several connections: each once and in order; over one, and patiently, when there is trouble."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from base.processes import share_out
from base.settings import Settings
from base.time_limit import watchdog
from base.trouble import StageError, Status
from base.waiting import Outage
from base.workdir import WorkDir
from extract import pull
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, OpenSSH, wait_for
from sftp.batches import CONNECTIONS, in_groups
from sftp.server import TOGETHER, Remote

FILES = 8 * TOGETHER + 1
NUMBERS = range(FILES)


@pytest.fixture
def remote(night: Night, own_openssh: OpenSSH) -> Iterator[Remote]:
    server = Remote(Settings(**{name.lower(): value for name, value in (night.settings | own_openssh.settings()).items()}))
    yield server
    server.close()


def halves(_: Remote, group: Sequence[int]) -> list[tuple[int, int]]:
    """Come to half of a group, and say who did."""
    time.sleep(0.01)  # long enough for everybody to have a part in it
    return [(number, os.getpid()) for number in group[: len(group) // 2 + 1]]


def test_results_come_in_order_and_from_several_processes(remote: Remote) -> None:
    found, processes = zip(*in_groups(remote, halves, NUMBERS, 0), strict=True)
    assert found == tuple(NUMBERS)
    assert os.getpid() not in processes
    assert 1 < len(set(processes)) <= CONNECTIONS


def test_one_group_needs_no_other_process(remote: Remote) -> None:
    assert list(in_groups(remote, halves, NUMBERS[:TOGETHER], 0)) == [(number, os.getpid()) for number in NUMBERS[:TOGETHER]]


def test_nothing_to_do(remote: Remote) -> None:
    assert list(in_groups(remote, halves, [], 0)) == []


def test_what_several_connections_leave_is_done_over_one_and_nothing_twice(remote: Remote, tmp_path: Path) -> None:
    here, stop = os.getpid(), FILES // 2 + 3  # the fourth of its group

    def work(_: Remote, group: Sequence[int]) -> list[int]:
        if os.getpid() != here and stop in group:
            if group[0] == stop:
                raise StageError(Status.SFTP, "too many.", "fewer.")
            return list(group[: group.index(stop)])
        if os.getpid() == here and not (tmp_path / "outage").exists():
            (tmp_path / "outage").touch()
            raise Outage(Status.SFTP, "gone.", "wait.")
        with (tmp_path / "done").open("a") as done:
            done.write("".join(f"{number}\n" for number in group))
        return list(group)

    assert list(in_groups(remote, work, NUMBERS, 30)) == list(NUMBERS)
    done = [int(number) for number in (tmp_path / "done").read_text().split()]
    assert sorted(done) == [number for number in NUMBERS if not stop - 3 <= number < stop]
    assert (tmp_path / "outage").exists()


def test_a_login_that_is_refused_is_no_files_fault_and_not_tried_for_each(
    night: Night, own_openssh: OpenSSH, remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(night)
    sources = remote.list()[0]
    (own_openssh.folder / "authorized_keys").unlink()
    with pytest.raises(StageError, match="refuses the login"):
        list(in_groups(remote, partial(pull, WorkDir(remote._settings)), sources, 0))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    refused = (own_openssh.folder / "sshd.log").read_text().count("authenticating user")
    assert 0 < refused <= CONNECTIONS + 1
    assert night.left_in_work() == []


def is_cut(_: int) -> bool:
    """Return whether what takes too long is cut in this process."""
    cuts: list[int] = []
    with watchdog(0.1, lambda: cuts.append(1)):
        deadline = time.monotonic() + 5
        while not cuts and time.monotonic() < deadline:
            time.sleep(0.05)
    return bool(cuts)


def test_the_watchdog_watches_in_every_process() -> None:
    assert is_cut(0)
    assert list(share_out(is_cut, range(2), 2)) == [True, True]


def deliver(night: Night) -> None:
    for number in NUMBERS:
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com"), line("all@example.com")))


def loaded(night: Night) -> None:
    """Every report once, and no trace of it but in Postgres and in the zip."""
    assert night.statuses() == [(f"report_{number}.txt", "loaded") for number in NUMBERS]
    assert night.sql("select visitas_totales from visitor where email = 'all@example.com'") == [(FILES,)]
    assert (list(night.source.iterdir()), night.left_in_work()) == ([], [])
    assert len(list(night.backups.iterdir())) == 1


def logins(server: OpenSSH) -> int:
    return (server.folder / "sshd.log").read_text().count("Accepted publickey")


def test_a_night_of_many_files(night: Night, own_openssh: OpenSSH) -> None:
    deliver(night)
    done = night.run(**own_openssh.settings())
    assert (done.returncode, done.stderr) == (0, "")
    assert 3 < logins(own_openssh) <= 1 + 2 * CONNECTIONS  # extract's to list, its workers', archive's
    assert "a connection less" not in (night.logs / "extract.log").read_text() + (night.logs / "archive.log").read_text()
    loaded(night)


def test_a_server_that_allows_few_connections(night: Night, own_openssh: OpenSSH) -> None:
    """It hangs up while it is busy with another login."""
    own_openssh.stop()
    config = own_openssh.folder / "sshd_config"
    config.write_text(config.read_text().replace("MaxStartups 100", "MaxStartups 1"))
    own_openssh.start()
    deliver(night)
    done = night.run(**own_openssh.settings() | {"RETRY_SECONDS": "60"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "a connection less, after 'the SFTP server" in (night.logs / "extract.log").read_text()
    loaded(night)


def deliver_large(night: Night) -> None:
    """Files that take a while to pull; they are no reports."""
    for number in NUMBERS:
        with night.deliver(f"report_{number}.txt", b"").open("wb") as file:
            file.truncate(1 << 20)


def pulled_whole(night: Night) -> None:
    assert night.left_in_work() == sorted(f"report_{number}.txt" for number in NUMBERS)
    assert {(night.work / name).stat().st_size for name in night.left_in_work()} == {1 << 20}


def test_a_killed_extract_leaves_nobody_and_the_next_run_goes_on(night: Night) -> None:
    deliver_large(night)
    with subprocess.Popen([sys.executable, str(ETL / "extract.py")], env=night.environment()) as extract:
        wait_for(lambda: len(list(night.work.glob("report_*"))) > TOGETHER)
        workers = psutil.Process(extract.pid).children()
        extract.kill()
    assert len(workers) == CONNECTIONS
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert len(list(night.work.glob("report_*"))) < FILES
    assert night.run("extract.py").returncode == 0
    pulled_whole(night)


def test_a_server_gone_in_the_middle_and_back(night: Night, own_openssh: OpenSSH) -> None:
    assert own_openssh.process
    deliver_large(night)
    environment = night.environment(**own_openssh.settings() | {"RETRY_SECONDS": "60"})
    command = [sys.executable, str(ETL / "extract.py")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as extract:
        wait_for(lambda: len(list(night.work.glob("report_*"))) > TOGETHER)
        serving = psutil.Process(own_openssh.process.pid).children(recursive=True)
        own_openssh.stop()
        for one in serving:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        time.sleep(1)
        own_openssh.start()
        assert len(list(night.work.glob("report_*"))) < FILES
        assert (extract.communicate(timeout=60)[1], extract.returncode) == ("", 0)
    assert "a connection less" in (night.logs / "extract.log").read_text()
    pulled_whole(night)

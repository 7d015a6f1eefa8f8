"""Files of the SFTP server, many at once: in order, and each with its own outcome."""

import ctypes
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import paramiko
import psutil
import pytest

from base.settings import Settings
from base.trouble import StageError, Status
from base.waiting import Outage
from base.workdir import WorkDir
from extract import pull
from kit.night import Night
from kit.samples import line, report
from kit.servers import OpenSSH, wait_for
from sftp.client import BLOCK, LARGEST_BLOCK
from sftp.server import TOGETHER, Changed, Listed, Remote


@pytest.fixture
def remote(night: Night) -> Iterator[Remote]:
    server = Remote(Settings(**{name.lower(): value for name, value in night.settings.items()}))
    yield server
    server.close()


def sftp_server(openssh: OpenSSH) -> int:
    """The process that serves files over the connection, which lives on without it."""
    assert openssh.process
    listener = psutil.Process(openssh.process.pid)

    def serving() -> list[int]:
        with suppress(psutil.Error):  # one of them has ended
            return [one.pid for one in listener.children(recursive=True) if "internal-sftp" in " ".join(one.cmdline())]
        return []

    found: list[int] = []

    def alone() -> bool:  # that of the test before may still be going
        found[:] = serving()
        return len(found) == 1

    wait_for(alone)
    return found[0]


def listed(remote: Remote) -> list[Listed]:
    return sorted(remote.list()[0])


def pulled(remote: Remote, sources: list[Listed]) -> dict[str, list[bytes | Changed | StageError]]:
    """The blocks of every file, by its name; the order of the names is the order in which they came."""
    return {source.name: [block for _, block in pairs] for source, pairs in groupby(remote.read(sources), itemgetter(0))}


def test_many_files(night: Night) -> None:
    count = 2 * TOGETHER + 1
    for number in range(count):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com"), line("all@example.com")))
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert night.statuses() == [(f"report_{number}.txt", "loaded") for number in range(count)]
    assert night.sql("select visitas_totales from visitor where email = 'all@example.com'") == [(count,)]
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(count + 1, 2 * count)]
    assert (list(night.source.iterdir()), night.left_in_work()) == ([], [])


@pytest.mark.parametrize("block", [None, 1000, 1 << 20])
def test_bytes_of_any_size(night: Night, remote: Remote, block: int | None) -> None:
    """Files of no byte, of a block, of one more: with as much as the server gives at once, with less, and with more."""
    if block:
        remote.list()
        with remote._session() as sftp:
            sftp.block = block  # type: ignore[misc]
    else:
        with remote._session() as sftp:
            assert BLOCK < sftp.block <= LARGEST_BLOCK  # OpenSSH says that it gives more than every server does
            block = sftp.block
    content = {f"report_{size}.txt": os.urandom(size) for size in (0, 1, block, block + 1, 20 * block + 7)}
    for name, data in content.items():
        night.deliver(name, data)
    found = pulled(remote, listed(remote))
    assert {name: b"".join(blocks) for name, blocks in found.items()} == content  # type: ignore[arg-type]
    assert all(blocks[-1] == b"" for blocks in found.values())


def test_a_change_behind_the_first_part_of_a_short_block(night: Night, remote: Remote) -> None:
    """The look goes out with the reads; the rest of a block that came short is read after it, so it is not the last word."""
    path = night.deliver("report_1.txt", bytes(1 << 20))
    sources = listed(remote)
    with remote._session() as sftp:
        sftp.block = 1 << 20  # type: ignore[misc]  # more than OpenSSH gives at once
    blocks = remote.read(sources)
    first = next(blocks)[1]
    assert isinstance(first, bytes)
    assert len(first) < 1 << 20
    time.sleep(2)  # the look is answered
    path.write_bytes(b"x" * (1 << 20))
    os.utime(path, (1e9, 1e9))
    *_, (_, outcome) = blocks
    assert isinstance(outcome, Changed)


def test_each_file_has_its_own_outcome(night: Night, remote: Remote) -> None:
    for name in "abcdefg":
        night.deliver(f"report_{name}.txt", 100 * name.encode())
    sources = listed(remote)
    (night.source / "report_b.txt").unlink()
    (night.source / "report_c.txt").write_bytes(b"short")
    (night.source / "report_d.txt").write_bytes(200 * b"d")
    (night.source / "report_e.txt").unlink()
    (night.source / "report_e.txt").mkdir()
    os.utime(night.source / "report_f.txt", (1e9, 1e9))
    found = pulled(remote, sources)
    assert list(found) == [source.name for source in sources]
    assert (found["report_a.txt"], found["report_g.txt"]) == ([100 * b"a", b""], [100 * b"g", b""])
    endings = [type(blocks[-1]) for blocks in found.values()]
    assert endings == [bytes, Changed, Changed, Changed, StageError, Changed, bytes]
    assert str(found["report_e.txt"][-1]).startswith("the SFTP server refuses")
    outcomes = remote.delete(sources)
    assert [outcomes[source] for source in sources] == [True, False, False, False, False, False, True]
    assert sorted(path.stem[-1] for path in night.source.iterdir()) == ["c", "d", "e", "f"]


def test_what_cannot_be_deleted_stops_no_other(night: Night, remote: Remote) -> None:
    night.deliver("report_1.txt", b"1")
    (folder := night.source / "report_0.txt").mkdir()
    found = folder.lstat()
    stuck = Listed(folder.name, found.st_size, int(found.st_mtime))
    outcomes = remote.delete([stuck, *listed(remote)])
    assert isinstance(outcomes.pop(stuck), StageError)
    assert list(outcomes.values()) == [True]
    assert list(night.source.iterdir()) == [folder]


def test_a_closed_connection_leaves_no_thread(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for the half second that it takes here on its way out of the system, where it may hold locks of OpenSSL's."""
    libc, on_the_way_out = ctypes.CDLL(None), ctypes.c_uint()
    assert libc.pthread_key_create(ctypes.byref(on_the_way_out), libc.usleep) == 0
    run = paramiko.Transport.run

    def run_and_linger(transport: paramiko.Transport) -> None:
        assert libc.pthread_setspecific(on_the_way_out, ctypes.c_void_p(500_000)) == 0
        run(transport)

    monkeypatch.setattr(paramiko.Transport, "run", run_and_linger)
    remote.list()
    (transport,) = [thread for thread in threading.enumerate() if isinstance(thread, paramiko.Transport)]
    thread_of_the_system = Path(f"/proc/self/task/{transport.native_id}")
    assert thread_of_the_system.exists()
    remote.close()
    assert not any(isinstance(thread, paramiko.Transport) for thread in threading.enumerate())
    assert not thread_of_the_system.exists()


def test_a_file_that_is_left_half_read(night: Night, remote: Remote) -> None:
    """Whoever stops in the middle of a file gets the next one from its beginning."""
    night.deliver("report_1.txt", os.urandom(3 << 20))
    night.deliver("report_2.txt", b"2")
    firsts = {source.name: next(pairs)[1] for source, pairs in groupby(remote.read(listed(remote)), itemgetter(0))}
    assert isinstance(firsts["report_1.txt"], bytes)
    assert firsts["report_2.txt"] == b"2"
    shutil.rmtree(night.source)
    with pytest.raises(StageError, match="cannot be listed"):
        remote.list()


@pytest.fixture
def narrow(night: Night, tmp_path: Path) -> Iterator[Remote]:
    """A server that may have few files open."""
    (folder := tmp_path / "ssh").mkdir()
    server = OpenSSH(folder)
    program = folder / "narrow"
    program.write_text("#!/bin/sh\nulimit -n 8\nexec /usr/lib/openssh/sftp-server\n")
    program.chmod(0o755)
    config = folder / "sshd_config"
    config.write_text(config.read_text().replace("internal-sftp", str(program)))
    server.start()
    remote = Remote(Settings(**{name.lower(): value for name, value in (night.settings | server.settings()).items()}))
    yield remote
    remote.close()
    server.stop()


def test_a_server_that_has_few_files_open(night: Night, narrow: Remote) -> None:
    for number in range(10):
        night.deliver(f"report_{number}.txt", b"%d" % number)
    remote, sources = narrow, listed(narrow)
    first = pulled(remote, sources)
    assert 0 < len(first) < 10
    assert all(blocks[-1] == b"" for blocks in first.values())
    rest = pulled(remote, sources[len(first) :])
    assert next(iter(rest)) == f"report_{len(first)}.txt"
    assert next(iter(rest.values()))[-1] == b""  # the others are closed


def test_a_server_that_speaks_no_sftp(night: Night, tmp_path: Path) -> None:
    """A login shell that greets, say."""
    (folder := tmp_path / "ssh").mkdir()
    greeting = OpenSSH(folder)
    config = folder / "sshd_config"
    config.write_text(config.read_text().replace("internal-sftp", "/bin/echo Welcome"))
    greeting.start()
    done = night.run("extract.py", **greeting.settings())
    greeting.stop()
    assert done.returncode == 10
    assert "the server does not speak SFTP" in done.stderr


def test_the_end_of_the_sftp_part_alone_is_an_outage(night: Night, remote: Remote, openssh: OpenSSH) -> None:
    for number in range(3):
        night.deliver(f"report_{number}.txt", bytes(8 << 20))
    sources = listed(remote)
    blocks = remote.read(sources)
    next(blocks)
    os.kill(sftp_server(openssh), signal.SIGKILL)
    with pytest.raises(Outage):
        list(blocks)
    assert all(found[-1] == b"" for found in pulled(remote, sources).values())  # over a new connection


def test_an_outage_keeps_what_has_been_pulled(night: Night, remote: Remote, openssh: OpenSSH) -> None:
    night.deliver("report_0.txt", b"0")
    with night.deliver("report_1.txt", b"").open("wb") as file:
        file.truncate(512 << 20)
    sources = listed(remote)
    work = WorkDir(remote._settings)
    part = work.root / ".report_1.txt.part"

    def cut() -> None:
        wait_for(lambda: part.exists() and part.stat().st_size > 0)
        os.kill(sftp_server(openssh), signal.SIGKILL)

    (killer := threading.Thread(target=cut)).start()
    assert pull(work, remote, sources) == [Status.DONE]
    killer.join()
    assert night.left_in_work() == ["report_0.txt"]
    assert pull(work, remote, sources[1:]) == [Status.DONE]
    assert (work.root / "report_1.txt").stat().st_size == 512 << 20

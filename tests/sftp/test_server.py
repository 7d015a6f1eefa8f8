"""Work on many files of the SFTP server at once over one connection: every byte comes, and each file has its own outcome."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import paramiko
import psutil
import pytest

from backup.clearing import remove_same
from base.settings import Settings
from base.trouble import StageError, Status
from base.workdir import WorkDir
from extract import DAY, Left, Puller
from kit.night import Night
from kit.other_servers import SFTP_SERVER
from kit.quirks import Quirks
from kit.quirky import serving
from kit.samples import line, report
from kit.servers import OpenSSH, wait_for
from postgres.ledger import Entry
from sftp import client
from sftp.client import BLOCK, LARGEST_BLOCK, Broken, Client
from sftp.packets import Refusal
from sftp.reading import Blocks
from sftp.server import AT_ONCE, Server, refused

LONG = 64 << 20  # bytes: a file that is not read at once
NAME = "report_{}.txt"


def settings(night: Night, **changed: str) -> Settings:
    return Settings(**{name.lower(): value for name, value in (night.settings | changed).items()})


@contextmanager
def connected(night: Night) -> Iterator[Server]:
    server = Server(settings(night))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(night: Night) -> Iterator[Server]:
    with connected(night) as server:
        yield server


@contextmanager
def serving_with(folder: Path, subsystem: str) -> Iterator[OpenSSH]:
    """Run an OpenSSH server that starts a command for SFTP."""
    folder.mkdir()
    server = OpenSSH(folder)
    config = folder / "sshd_config"
    config.write_text(config.read_text().replace("Subsystem sftp internal-sftp", subsystem))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def sftp_server(openssh: OpenSSH) -> int:
    """Return the process that serves files over the connection, which lives on without it."""
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


def read(client: Client, path: bytes) -> bytes:
    return b"".join(client.read(path, Path(os.fsdecode(path)).stat().st_size))


def test_many_files(night: Night) -> None:
    files = 3 * AT_ONCE + 1
    for number in range(files):
        night.deliver(NAME.format(number), report(line(f"p{number}@example.com"), line("all@example.com")))
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(night.statuses()) == sorted((NAME.format(number), "loaded") for number in range(files))
    assert night.sql("select visitas_totales from visitor where email = 'all@example.com'") == [(files,)]
    assert night.sql("select count(*), sum(visitas_totales) from visitor") == [(files + 1, 2 * files)]
    assert (list(night.source.iterdir()), night.left_in_work()) == ([], [])


@pytest.mark.parametrize("gently", [False, True])
@pytest.mark.parametrize("expected", ["nothing", "less", "right", "more"])
@pytest.mark.parametrize("block", [0, 1000, 1 << 20])
def test_bytes_of_any_size(night: Night, server: Server, block: int, expected: str, gently: bool) -> None:
    """With blocks as large as the server gives, smaller and larger ones; however many bytes are expected."""
    client = server.connect()
    client.gently = gently
    assert BLOCK < client._blocks.size <= LARGEST_BLOCK  # OpenSSH says that it gives more than every server does
    if block:
        client._blocks = Blocks(block)
    block = client._blocks.size
    sizes = [0, 1, block - 1, block, block + 1, 20 * block + 7]
    if block < BLOCK:
        sizes[-1] = 300 * block + 7
    for size in sizes:
        expecting = {"nothing": None, "less": size // 2, "right": size, "more": 3 * size + 1}[expected]
        path = night.deliver(NAME.format(size), data := os.urandom(size))
        assert b"".join(client.read(bytes(path), expecting)) == data


def test_many_threads_share_the_blocks(night: Night, server: Server) -> None:
    """More files at once than there are blocks that may be asked for."""
    content = {bytes(night.deliver(NAME.format(number), data := os.urandom(700_000))): data for number in range(2 * AT_ONCE)}
    assert dict(server.each(read, list(content))) == content
    client = server.connect()
    assert client._blocks.free._value == client._blocks.free._initial_value  # every block was given back


def test_each_file_has_its_own_outcome(night: Night, server: Server) -> None:
    """One that is gone, one that changed since it was listed, and one that nothing helps stop no other."""
    for name in "abcdefg":
        night.deliver(NAME.format(name), 100 * name.encode())
    files = sorted(server.list().files)
    (night.source / "report_b.txt").unlink()
    (night.source / "report_c.txt").write_bytes(b"short")
    (night.source / "report_d.txt").unlink()
    (night.source / "report_d.txt").mkdir()
    os.utime(night.source / "report_e.txt", (time.time() + 2 * DAY, time.time() + 2 * DAY))
    night.deliver("report_f.txt", 1001 * b"f")
    wanted = settings(night, MAX_REPORT_BYTES="1000")
    work = WorkDir(wanted)
    outcomes = {file.name: outcome for file, outcome in server.each(Puller(work, server, wanted).pull, files)}
    assert set(outcomes) == {file.name for file in files}
    assert {name: str(outcome) for name, outcome in outcomes.items() if isinstance(outcome, Left)} == {
        "report_b.txt": "it is gone from the server"
    }
    troubles = {name: (outcome.status, str(outcome)) for name, outcome in outcomes.items() if isinstance(outcome, StageError)}
    assert set(troubles) == {"report_d.txt", "report_e.txt", "report_f.txt"}
    for name, status, words in [
        ("report_d.txt", Status.REFUSED, "it is no file"),
        ("report_e.txt", Status.SFTP, "dated more than a day ahead"),
        ("report_f.txt", Status.SFTP, "larger than MAX_REPORT_BYTES"),
    ]:
        assert troubles[name][0] == status
        assert words in troubles[name][1]
    assert {path.name: path.read_bytes() for path in work.root.glob("report_*")} == {
        "report_a.txt": 100 * b"a",
        "report_c.txt": b"short",  # as it is now
        "report_g.txt": 100 * b"g",
    }


def entry(path: Path) -> Entry:
    """Return a report in the load log that was pulled as the file is now."""
    found = path.lstat()
    return Entry(0, path.name, found.st_size, int(found.st_mtime), "", "loaded", 0, 0, 0, None, None, True)


def test_what_cannot_be_deleted_stops_no_other(night: Night, server: Server) -> None:
    (folder := night.source / "report_0.txt").mkdir()
    entries = [entry(folder), *(entry(night.deliver(NAME.format(number), b"x")) for number in range(1, 5))]
    (night.source / "report_2.txt").unlink()  # somebody else was quicker
    night.deliver("report_3.txt", b"another")
    outcomes = {
        done.name: outcome
        for done, outcome in server.each(lambda client, removed: remove_same(client, server.path(removed.name), removed), entries)
    }
    stuck = outcomes.pop("report_0.txt")
    assert isinstance(stuck, StageError)
    assert "refuses to delete the file" in str(stuck)
    assert outcomes == {"report_1.txt": True, "report_2.txt": False, "report_3.txt": False, "report_4.txt": True}
    assert sorted(path.name for path in night.source.iterdir()) == ["report_0.txt", "report_3.txt"]


def test_a_file_that_is_left_half_read(night: Night, server: Server) -> None:
    """Whoever stops in the middle of a file gets the next one from its beginning, and gives back what it holds."""
    first, second = night.deliver("report_1.txt", os.urandom(3 << 20)), night.deliver("report_2.txt", b"2")
    client = server.connect()
    for _ in range(20):  # more than there are blocks
        blocks = client.read(bytes(first), 3 << 20)
        assert next(blocks)
        blocks.close()
    assert read(client, bytes(second)) == b"2"
    assert client._blocks.free._value == client._blocks.free._initial_value


def test_a_small_file_does_not_wait_for_a_large_one(night: Night, server: Server) -> None:
    """Nor for anything that holds all blocks and does not go on."""
    large, small = night.deliver("report_1.txt", os.urandom(LONG)), night.deliver("report_2.txt", b"2")
    client = server.connect()
    blocks = client.read(bytes(large), LONG)
    begin = next(blocks)
    assert read(client, bytes(small)) == b"2"
    assert begin + b"".join(blocks) == large.read_bytes()


@pytest.mark.parametrize(
    ("limit", "value", "said"), [("MOST_NAMES", 500, "lists more than 500 names"), ("LISTING_LIMIT", 1, "more than 1 seconds")]
)
def test_a_listing_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, said: str) -> None:
    monkeypatch.setattr(client, limit, value)
    with serving(tmp_path / "server", tmp_path, Quirks(endless_listing=True)) as quirky:
        server = Server(Settings(**{name.lower(): text for name, text in quirky.settings().items()}))  # type: ignore[arg-type]
        with pytest.raises(StageError, match=f"cannot be listed: .*{said}"):
            server.list()
        server.close()


def test_a_folder_that_cannot_be_listed(night: Night, server: Server) -> None:
    night.source.rmdir()
    with pytest.raises(StageError, match="cannot be listed: No such file"):
        server.list()


@pytest.mark.parametrize("says", [True, False])
def test_a_server_that_has_few_files_open(night: Night, short_tmp: Path, says: bool) -> None:
    """Whether or not it says how many: what it refuses at first is asked for gently."""
    if not SFTP_SERVER.exists():
        pytest.skip("openssh-sftp-server is not installed")
    files = {bytes(night.deliver(NAME.format(number), data)): data for number in range(40) if (data := b"%d" % number * 50_000)}
    command = f"ulimit -n 10; exec {SFTP_SERVER}" + ("" if says else " -P limits")
    with serving_with(short_tmp / f"few{says}", f"Subsystem sftp {command}") as openssh:
        night.settings |= openssh.settings()
        with connected(night) as server:
            assert server.connect().most_open == (5 if says else 0)

            def pull(client: Client, path: bytes) -> bytes:
                try:
                    return read(client, path)
                except Refusal as error:
                    raise refused(error, "give the file", "") from error

            assert dict(server.each(pull, list(files))) == files


@pytest.mark.parametrize(
    ("subsystem", "said"),
    [("Subsystem sftp /bin/echo Welcome", "does not speak SFTP"), ("", "does not speak SFTP")],
    ids=["a login shell that greets", "no SFTP subsystem"],
)
def test_a_server_that_speaks_no_sftp(night: Night, short_tmp: Path, subsystem: str, said: str) -> None:
    """Waiting cannot help, so nobody waits."""
    with serving_with(short_tmp / f"none{len(subsystem)}", subsystem) as openssh:
        began = time.monotonic()
        done = night.run("extract.py", RETRY_SECONDS="600", **openssh.settings())
        assert time.monotonic() - began < 60
    assert done.returncode == 10
    assert said in done.stderr


def test_the_end_of_the_sftp_part_alone_is_an_outage(night: Night, server: Server, openssh: OpenSSH) -> None:
    """Whoever reads hears of it at once; the work goes on over a new connection."""
    path = bytes(night.deliver("report_1.txt", b""))
    os.truncate(path, LONG)
    client = server.connect()
    blocks = client.read(path, LONG)
    next(blocks)
    os.kill(sftp_server(openssh), signal.SIGKILL)
    with pytest.raises(Broken, match="ended the connection"):
        list(blocks)
    with pytest.raises(Broken):
        client.look(path)
    assert [(done, len(content)) for done, content in server.each(read, [path])] == [(path, LONG)]


def test_a_connection_that_breaks_under_many_files(night: Night, server: Server, openssh: OpenSSH) -> None:
    """Each is given once, none is lost, and what was finished before is not read again."""
    paths = [bytes(night.deliver(NAME.format(number), b"%d" % number * 200_000)) for number in range(3 * AT_ONCE)]
    begun, reads = count(1), threading.Lock()
    broken = threading.Event()

    def read_until_it_breaks(client: Client, path: bytes) -> bytes:
        with reads:
            if next(begun) == AT_ONCE + 5:
                os.kill(sftp_server(openssh), signal.SIGKILL)
                broken.set()
        return read(client, path)

    found = list(server.each(read_until_it_breaks, paths))
    assert broken.is_set()
    assert sorted(path for path, _ in found) == sorted(paths)
    assert all(content == Path(os.fsdecode(path)).read_bytes() for path, content in found)
    assert next(begun) <= 2 * len(paths)


def test_an_outage_keeps_what_has_been_pulled(night: Night, own_openssh: OpenSSH) -> None:
    """What came before the server went is here; the next night pulls the rest."""
    night.settings |= own_openssh.settings()
    night.deliver("report_0.txt", b"0")
    os.truncate(night.deliver("report_1.txt", b""), 512 << 20)
    part = night.work / ".report_1.txt.part"

    def end() -> None:
        wait_for(lambda: (night.work / "report_0.txt").exists() and part.exists() and part.stat().st_size > 0)
        served = sftp_server(own_openssh)
        own_openssh.stop()
        os.kill(served, signal.SIGKILL)

    (killer := threading.Thread(target=end)).start()
    done = night.run("extract.py")
    killer.join()
    assert done.returncode == 10
    assert "report_1.txt: the SFTP server" in done.stderr
    assert "report_0.txt" not in done.stderr
    assert night.left_in_work() == ["report_0.txt"]
    own_openssh.start()
    assert night.run("extract.py").returncode == 0
    assert (night.work / "report_1.txt").stat().st_size == 512 << 20


def test_a_closed_connection_leaves_no_thread(server: Server) -> None:
    """Neither paramiko's nor ours."""
    before = threading.active_count()
    server.list()
    assert any(isinstance(thread, paramiko.Transport) for thread in threading.enumerate())
    server.close()
    wait_for(lambda: threading.active_count() <= before)


def test_a_connection_that_idles(night: Night, server: Server) -> None:
    """Nobody asked for anything: silence is right then."""
    path = bytes(night.deliver("report_1.txt", b"1"))
    client = server.connect()
    client._channel.settimeout(1)
    time.sleep(3)
    client._channel.settimeout(30)
    assert read(client, path) == b"1"

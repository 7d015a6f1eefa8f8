"""The zoo: whole nights against servers that differ from OpenSSH's, a line of the table for each, and against real ones.

A row says what is right, and a new row is a line. After every night, also after one that failed, no byte may be lost.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from kit.conservation import assert_conserved, on_server
from kit.night import Night
from kit.other_servers import AsyncSSH, Dropbear, ProFTPD, Rclone, Server, running
from kit.quirks import (
    ALWAYS,
    BREAK,
    BREAK_ONCE,
    DENIED,
    FAILURE,
    LOCKED,
    SILENCE,
    UNSUPPORTED,
    Moment,
    Quirks,
    Says,
    everywhere,
    hours_ahead,
    hours_behind,
    huge,
    long,
    no_kind,
    no_permissions,
    no_size,
    no_time,
    nothing,
    short,
    size_0,
    whole_minutes,
)
from kit.quirky import serving
from kit.quirky_sftp import LIMITS
from kit.samples import line, report

pytestmark = pytest.mark.long

PATIENCE = 60  # RETRY_SECONDS of rows that must not wait
AT_ONCE = 40  # seconds; a night takes two, and a machine may be ten times slower
LONG = 100_000  # characters of a text that no message may hold whole
NEVER = (
    r"Traceback",
    r"\[Errno",
    r"TimeoutError",
    r"[^.]\.\.(\s|$)",
    r"(report_\d+\.txt): \1",
    r"x{2000}",  # a foreign text that is not cut
    r"is it up",  # it is
    r"missing in the consecutive",  # nothing is: what was not loaded is on the server
)
ANY = (r"\A",)  # it may say something, or nothing
OLD = 3607  # seconds; the age of what is delivered, no whole minutes


class Ends(NamedTuple):
    """How a night ends. Reports are called by their numbers; any other name stands as it is."""

    status: int | tuple[int, ...] = 0
    loaded: str = "1 2 3"  # so far, each once
    left: str = ""  # on the server
    says: tuple[str, ...] = ()  # patterns, all of which stderr holds; without any it is empty
    never: tuple[str, ...] = ()  # patterns, none of which it holds, beside NEVER
    once: str = ""  # a pattern that it holds exactly once, for all files
    duplicates: int = 0  # pulled again although they were loaded


GOOD = Ends()
KEPT = Ends(left="1 2 3")
SOURCES_KEPT = {"DELETE_SOURCE": "false"}
EVERY_NAME = {"REPORT_PATTERN": "*"}


def reports(count: int = 3, lines: int = 2) -> dict[str, bytes]:
    """Small reports, no two alike."""
    return {
        f"report_{number}.txt": report(*(line(f"p{number}.{at}@example.com") for at in range(lines)))
        for number in range(1, count + 1)
    }


def numbers(count: int) -> str:
    return " ".join(str(number) for number in range(1, count + 1))


EIGHT, EIGHT_GOOD = reports(8), (Ends(loaded=numbers(8)),)
BIG = reports() | {"report_2.txt": reports(2, 7000)["report_2.txt"]}  # 400 kB: a dozen READs


class Row(NamedTuple):
    """A server, and the nights with it."""

    what: str
    quirks: Quirks
    nights: tuple[Ends, ...] = (GOOD,)
    files: dict[str, bytes] = reports()
    settings: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    also: Callable[[Path], object] = lambda folder: None  # puts into the folder what is no file
    at_once: bool = False  # there is nothing to wait for, and nobody waits for PATIENCE


def many_kinds(folder: Path) -> None:
    """Make a link, a folder and a FIFO, under names of reports."""
    (folder / "report_4.txt").symlink_to(folder / "report_1.txt")
    (folder / "report_5.txt").mkdir()
    os.mkfifo(folder / "report_6.txt")


def a_folder(folder: Path) -> None:
    (folder / "report_4.txt").mkdir()


def at_the_door(what: str, quirks: Quirks, *says: str, **settings: str) -> Row:
    """A server that lets nobody in, which waiting cannot change."""
    return Row(what, quirks, (Ends(10, "", "1 2 3", says),), settings=settings, at_once=True)


def one_stays(what: str, quirks: Quirks, *says: str, never: tuple[str, ...] = (), nights: int = 1, **settings: str) -> Row:
    """A server that does not give report_2: it is named, every night, and stops no other."""
    ends = Ends(10, "1 3", "2", (r"report_2\.txt", *says), never)
    return Row(what, quirks, (ends,) * nights, settings=settings)


# Slow rows come first, so that the others run beside them.
SLOW = [
    Row("silent beyond 10 requests", Quirks(most_requests=10, beyond=SILENCE), files=BIG),
    one_stays("silent on one file", Quirks(on={"read report_2.txt": SILENCE})),
]
# S1, S3, S4: sizes, kinds and times are claims. Each report of one night has its own; each is loaded, without a word.
CLAIMS = {
    "size 0": everywhere(size_0),
    "no size": everywhere(no_size),
    "10 bytes too few": everywhere(short),
    "size 0 listed": Says(listed=(size_0,)),
    "no size listed": Says(listed=(no_size,)),
    "10 bytes too few listed": Says(listed=(short,)),
    "10 bytes too many listed": Says(listed=(long,)),
    "10 bytes too few looked at": Says(looked=(short,)),
    "nothing listed": Says(listed=(nothing,)),
    "no time listed": Says(listed=(no_time,)),
    "whole minutes listed": Says(listed=(whole_minutes,)),
    "another zone listed, ahead": Says(listed=(hours_ahead,)),
    "another zone listed, behind": Says(listed=(hours_behind,)),
    "no time": everywhere(no_time),
    "nothing at all": everywhere(nothing),  # an age that is not known is not young
    "permissions without a kind": everywhere(no_kind),
    "permissions without a kind listed": Says(listed=(no_kind,)),
    "no permissions": everywhere(no_permissions),
}
EVERY_SIZE = [
    Row("size 0 of 400 kB", Quirks({"*": everywhere(size_0)}), files=BIG),
    Row("10 bytes too few of 400 kB", Quirks({"*": everywhere(short)}), files=BIG),
    # A file ends where the server says so; the size is a claim, and two looks agree on it.
    Row("10 bytes too many", Quirks({"*": everywhere(long)}), (Ends(says=ANY),)),
    # It is above MAX_REPORT_BYTES, so it is not even tried.
    one_stays("a size that no disk holds", Quirks({"report_2.txt": everywhere(huge)})),
    Row(
        "the same two differing answers every night",
        Quirks({"report_2.txt": Says(looked_after=(short,))}),
        (Ends(0, "1 3", "2", ANY), Ends(10, "1 3", "2", (r"report_2\.txt",))),  # the first may be a file in the making
    ),
    Row(
        "a folder without a kind",  # it is only seen when it does not open
        Quirks({"*": everywhere(no_kind)}),
        (Ends((3, 10), left="4", says=(r"report_4\.txt",)),),
        also=a_folder,
    ),
]
# S2: files that are given once. Nothing is wrong then, so cron has nothing to mail.
MOMENTS: dict[str, Moment] = {"report_1.txt": "open", "report_2.txt": "last", "report_3.txt": "eof", "report_4.txt": "close"}
ONCE = [
    Row("given once", Quirks(gives_once=MOMENTS), (Ends(loaded="1 2 3 4"),), reports(4)),
    Row("given once, without sizes", Quirks({"*": everywhere(no_size)}, gives_once={"*": "last"}), files=BIG),
    Row("given once, sources kept", Quirks(gives_once={"*": "close"}), (GOOD, GOOD), settings=SOURCES_KEPT),
]
# S5: what is not announced is not asked for.
EXTENSIONS = [
    Row("breaks on what it does not announce", Quirks(announces=("posix-rename@openssh.com",), on={"extended *": BREAK})),
    Row("silent on extensions", Quirks(on={"extended *": SILENCE})),
    Row("announces limits of 0", Quirks(announces=(LIMITS,), limits=(0, 0, 0, 0)), files=BIG),
    Row("announces 5 handles", Quirks(announces=(LIMITS,), limits=(0, 0, 0, 5), most_handles=5), EIGHT_GOOD, EIGHT),
    Row("announces more than it gives", Quirks(announces=(LIMITS,), limits=(0, 1 << 32, 0, 0), block=1 << 15), files=BIG),
]
# S6 and refusals of one file: one file stops no other, and is named.
ONE_FILE = [
    one_stays("breaks on one file", Quirks(on={"read report_2.txt": BREAK}), nights=2, RETRY_SECONDS="1"),
    one_stays("breaks in the middle of one file", Quirks(on={"read report_2.txt": BREAK._replace(behind=100)})),
    one_stays("breaks when one file is opened", Quirks(on={"open report_2.txt": BREAK})),
    Row("breaks on one file once", Quirks(on={"read report_2.txt": BREAK_ONCE}), settings={"RETRY_SECONDS": "20"}),
    Row(
        "breaks when one file is removed",
        Quirks(on={"remove report_2.txt": BREAK}),
        (Ends(10, left="2", says=(r"report_2\.txt",)),),
    ),
    one_stays("a read error", Quirks(on={"read report_2.txt": FAILURE._replace(behind=100, text="disk error")}), "disk error"),
    # A writer holds it: no right is missing.
    one_stays("locked on open", Quirks(on={"open report_2.txt": LOCKED}), "sharing violation", never=("rights",)),
    Row(
        "locked on remove",
        Quirks(on={"remove report_2.txt": LOCKED}),
        (Ends(10, left="2", says=(r"report_2\.txt", "sharing violation"), never=("rights",)),),
    ),
    Row("denies every open", Quirks(on={"open *": DENIED}), (Ends(10, "", "1 2 3", ANY, once="Permission denied"),)),
    Row("denies every removal", Quirks(on={"remove *": DENIED}), (Ends(10, left="1 2 3", says=ANY, once="DELETE_SOURCE"),) * 2),
    Row("denies files in the making", Quirks(on={"create *": DENIED})),
    Row("removes nothing", Quirks(keeps_removed=True), (Ends(10, left="1 2 3", says=("still has it",)),) * 2),
]
# S7, S8, S11, S12: getting in. The client has a key and a password, unless the row takes one away.
LOGINS = [
    Row("key and password, one service request", Quirks(methods="publickey,password", service_requests=1)),
    Row("password and key", Quirks(methods="password,publickey")),
    Row("key and keyboard-interactive", Quirks(methods="publickey,keyboard-interactive")),
    at_the_door("key and no password", Quirks(methods="publickey,password"), "password", "SFTP_PASSWORD", SFTP_PASSWORD=""),
    at_the_door("key and no answer", Quirks(methods="publickey,keyboard-interactive"), "SFTP_PASSWORD", SFTP_PASSWORD=""),
    at_the_door("password and no key", Quirks(methods="password,publickey"), "SFTP_KEY_FILE", SFTP_KEY_FILE=""),
    at_the_door("wrong password", Quirks(methods="password"), "refuses the login", SFTP_PASSWORD="wrong"),
    at_the_door("key good, password wrong", Quirks(methods="publickey,password"), "SFTP_PASSWORD", SFTP_PASSWORD="wrong"),
    Row("key refused, password good, one service request", Quirks(methods="password", service_requests=1)),
    Row("keyboard-interactive only", Quirks(methods="keyboard-interactive", service_requests=1)),
    Row("keyboard-interactive that asks for nothing too", Quirks(methods="keyboard-interactive", empty_question=True)),
    at_the_door(
        "a question that no setting answers",
        Quirks(methods="keyboard-interactive", questions=("Password: ", "Verification code: ")),
        "Verification code",
    ),
    Row("no password at all", Quirks(methods="none", service_requests=1)),
    Row("slow, with many words", Quirks(login_seconds=1, banner="x" * LONG, preamble=b"Authorized use only\r\n")),
    at_the_door("no SFTP", Quirks(has_sftp=False), "SFTP"),
    at_the_door("no common cipher", Quirks(ciphers=("rijndael-cbc@lysator.liu.se",)), "ciphers.* rijndael-cbc"),
    at_the_door("no common key exchange", Quirks(kex=("diffie-hellman-group1-sha1",)), "diffie-hellman-group1-sha1"),
    at_the_door("no common type of host key", Quirks(key_types=("ssh-dss",)), "ssh-dss"),
    Row("curve25519-sha256 only", Quirks(kex=("curve25519-sha256",))),
]
# S14: little at once. The last try is a gentle one, so nothing is left.
GENTLE = [
    Row("breaks beyond 10 requests", Quirks(most_requests=10), files=BIG),
    Row("breaks beyond 10 requests, 12 files", Quirks(most_requests=10), (Ends(loaded=numbers(12)),), reports(12)),
    Row("refuses beyond 1 request", Quirks(most_requests=1, beyond=FAILURE)),
    Row("breaks beyond 5 handles", Quirks(most_handles=5), EIGHT_GOOD, EIGHT),
    Row("refuses beyond 5 handles", Quirks(most_handles=5, beyond=FAILURE), EIGHT_GOOD, EIGHT),
    Row("breaks beyond 1 handle", Quirks(most_handles=1)),
]
# S15, S16: names, and what is no file. A name that can never be taken ends every night with a status.
ODD = ("manifest.json", "staged", "report_\x1b[2J.txt", "report_\udcff.txt", f"report_{'n' * 240}.txt")  # one is Latin-1
NAMES = [
    Row(
        "names that would not stay in the work directory",
        Quirks(),
        (Ends(3, left=" ".join(ODD), says=(r"manifest\.json", "staged", "2J", "xff", "report_nnn"), never=("\x1b",)),),
        reports() | {name: report(line("odd@example.com")) for name in ODD},
        EVERY_NAME,
    ),
    Row(
        "names that no file can have",
        Quirks(names=(b"", b"report_" + b"x" * LONG, b"../report_9.txt")),
        (Ends(3, says=("''|empty|no name", "report_xx", "report_9"), never=(r"'\.{1,2}'",)),),  # "." and ".." are no reports
        settings=EVERY_NAME,
    ),
    Row(
        "a link, a folder and a FIFO",
        Quirks(),
        (Ends(3, left="4 5 6", says=(r"report_4\.txt", r"report_5\.txt", r"report_6\.txt"), once="no file"),),
        also=many_kinds,
    ),
    Row("a folder", Quirks(), (Ends(3, left="4", says=(r"report_4\.txt",)),) * 2, also=a_folder),
    Row("every entry twice", Quirks(listings=2)),
    # Whether it is cut off or seen through, it ends, and says so if it is cut off.
    Row("a listing without end", Quirks(listings=ALWAYS), (Ends((0, 10), loaded="?", left="?", says=ANY),)),
]
# Other ways to answer.
ANSWERS = [
    Row("no LSTAT", Quirks(on={"lstat *": UNSUPPORTED})),
    Row("no FSTAT", Quirks(on={"fstat *": UNSUPPORTED})),
    Row("1000 bytes to a READ of 400 kB", Quirks(block=1000), files=BIG),
    Row("last asked, first answered, short", Quirks(backwards=True, block=10_000), files=BIG),
    Row("a slow drip", Quirks(block=7, seconds_per_read=0.02)),
    Row(
        "long words of refusal",
        Quirks(on={"open report_2.txt": DENIED}, status_text="x" * LONG),
        (Ends(10, "1 3", "2", (r"report_2\.txt",)),),
    ),
    # It is left while it grows. The next night finds it grown.
    Row("a file that grows", Quirks(grows={"report_2.txt": 1}), (Ends(0, "1 3", "2", ANY), Ends(loaded="1 3 2"))),
    Row("a file that always grows", Quirks(grows={"report_2.txt": ALWAYS}), (Ends((0, 10), "1 3", "2", (r"report_2\.txt",)),)),
    # What it gives beyond the question may be anything.
    one_stays("more than was asked for", Quirks(surplus={"report_2.txt": 7})),
    one_stays("a file without end", Quirks(endless="report_2.txt"), MAX_REPORT_BYTES="1000000"),
]
TABLE = [*SLOW, *EVERY_SIZE, *ONCE, *EXTENSIONS, *ONE_FILE, *LOGINS, *GENTLE, *NAMES, *ANSWERS]


def names(numbers: str) -> list[str]:
    """The names of reports that are called by their numbers."""
    return [f"report_{number}.txt" if number.isdecimal() else number for number in numbers.split()]


def spend(night: Night, ends: Ends) -> None:
    """Run a night and compare how it ended."""
    done = night.run()
    said = f"status {done.returncode}, stderr:\n{done.stderr[:3000]}"
    statuses = (ends.status,) if isinstance(ends.status, int) else ends.status
    assert done.returncode in statuses, said
    assert done.stdout == ""
    if not ends.says:
        assert done.stderr == ""
    for pattern in ends.says:
        assert re.search(pattern, done.stderr), f"{pattern} is missing: {said}"
    for pattern in (*NEVER, *ends.never):
        assert not re.search(pattern, done.stderr), f"{pattern} is there: {said}"
    if ends.once:
        assert len(re.findall(ends.once, done.stderr)) == 1, f"{ends.once} is not there once: {said}"
    if ends.loaded != "?":
        loaded = [name for name, status in night.statuses() if status == "loaded"]
        assert loaded == names(ends.loaded), said
        assert len(night.statuses()) - len(loaded) == ends.duplicates, said
    if ends.left != "?":
        assert sorted(path.name for path in night.source.iterdir()) == sorted(names(ends.left)), said


@pytest.fixture
def zoo_night(tmp_path: Path, database: str) -> Night:
    """A night whose server is still to come."""
    return Night(tmp_path, {"DATABASE_URL": database})


def deliver(night: Night, files: dict[str, bytes]) -> None:
    """Put reports on the server that are old enough."""
    for name, content in files.items():
        path = night.deliver(name, content)
        os.utime(path, (time.time() - OLD, time.time() - OLD))


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.what.replace(" ", "-")) for row in TABLE],
)
def test_quirk(row: Row, zoo_night: Night) -> None:
    night = zoo_night
    deliver(night, row.files)
    row.also(night.source)
    before = on_server(night.source)
    with serving(night.folder / "server", night.source, row.quirks) as server:
        night.settings |= server.settings() | ({"RETRY_SECONDS": str(PATIENCE)} if row.at_once else {}) | row.settings
        for ends in row.nights:
            began = time.monotonic()
            try:
                spend(night, ends)
            finally:
                assert_conserved(night, before, server.grown)
            assert not row.at_once or time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "kept"])
def test_claims(zoo_night: Night, kept: bool) -> None:
    """Two nights: all reports are loaded in the first and none in the second, whatever the server says of them."""
    night = zoo_night
    deliver(night, reports(len(CLAIMS)))
    before = on_server(night.source)
    says = {f"report_{number}.txt": says for number, says in enumerate(CLAIMS.values(), 1)}
    with serving(night.folder / "server", night.source, Quirks(says)) as server:
        night.settings |= server.settings() | {"MIN_AGE_SECONDS": "60", "DELETE_SOURCE": str(not kept).lower()}
        for _ in range(2):
            done = night.run()
            fates = [[fate for found, fate in night.statuses() if found == name] for name in says]
            wrong = {claim: fate for claim, fate in zip(CLAIMS, fates, strict=True) if fate != ["loaded"]}
            assert wrong == {}, done.stderr[:3000]
            assert (done.returncode, done.stderr) == (0, "")
            assert_conserved(night, before, {})
            assert set(on_server(night.source)) == (set(before) if kept else set())


WAITING = "3 reports waiting"
CHECKS: list[tuple[str, Quirks, tuple[str, ...], str]] = [
    # A server, what make check says of it, and what it does not say.
    ("deletes and does not write", Quirks(on={"create *": DENIED}), (WAITING, "delet"), "FAULT"),  # deleting is not tried
    ("writes and does not delete", Quirks(on={"remove *": DENIED}), (WAITING, "delet"), "visitas-check"),
    ("size 0", Quirks({"*": everywhere(size_0)}), (WAITING,), "FAULT"),
    ("permissions without a kind", Quirks({"*": everywhere(no_kind)}), (WAITING,), "FAULT"),
    ("breaks on extensions", Quirks(on={"extended *": BREAK}), (WAITING,), "FAULT"),
    ("breaks on reading", Quirks(on={"read *": BREAK}), ("FAULT", r"report_\d\.txt"), "is it up"),
    ("denies to open", Quirks(on={"open *": DENIED}), ("FAULT", r"report_\d\.txt", "Permission denied"), "is it up"),
]


def found(table: str, what: str) -> str:
    """Return what the check says of one thing, cell by cell."""
    rows = [row.split("│")[1:-1] for row in table.splitlines() if row.startswith("│")]
    first = next(at for at, row in enumerate(rows) if row[0].strip() == what)
    size = next(at for at, row in enumerate(rows[first + 1 :], 1) if row[0].strip())
    return " ".join(" ".join(" ".join(cells) for cells in zip(*rows[first : first + size], strict=True)).split())


@pytest.mark.parametrize("row", CHECKS, ids=lambda row: row[0].replace(" ", "-"))
def test_check(zoo_night: Night, row: tuple[str, Quirks, tuple[str, ...], str]) -> None:
    """The check tries a waiting report as the night would, and leaves the server as it was."""
    night, (_, quirks, says, never) = zoo_night, row
    deliver(night, reports())
    before = on_server(night.source)
    with serving(night.folder / "server", night.source, quirks) as server:
        done = night.run("check", **server.settings())
    said = found(done.stdout, "SFTP server")
    for pattern in says:
        assert re.search(pattern, said), said
    assert never not in said
    assert on_server(night.source) == before


@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "kept"])
@pytest.mark.parametrize(
    "kind",
    [ProFTPD, pytest.param(Dropbear, marks=pytest.mark.root("give Dropbear a home of its own")), AsyncSSH, Rclone],
    ids=lambda kind: kind.__name__,
)
def test_real_server(zoo_night: Night, kind: type[Server], kept: bool) -> None:
    with running(kind, zoo_night.folder / "server", zoo_night.source) as server:
        zoo_night.settings |= server.settings()
        spend_two(zoo_night, kept)


@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "kept"])
def test_openssh(night: Night, kept: bool) -> None:
    spend_two(night, kept)


def spend_two(night: Night, kept: bool) -> None:
    """Two nights: all reports are loaded in the first and none in the second."""
    deliver(night, reports(40) | BIG)
    before = on_server(night.source)
    night.settings["DELETE_SOURCE"] = str(not kept).lower()
    for _ in range(2):
        spend(night, Ends(loaded=numbers(40), left=numbers(40) if kept else ""))
        assert_conserved(night, before, {})

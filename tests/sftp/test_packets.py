"""Packets of SFTP: what they say, and that no bytes of a server raise anything but what the callers know."""

import socket
import stat
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from base.workdir import Claim
from sftp.client import Broken, Client
from sftp.packets import (
    DENIED,
    END,
    EXTENDED,
    LARGEST_PACKET,
    OK,
    OWNER,
    PERMISSIONS,
    SIZE,
    TIMES,
    Cursor,
    Kind,
    Look,
    NotSFTP,
    PacketReader,
    Refusal,
    string,
    take,
)

FLAGS = (SIZE, OWNER, PERMISSIONS, TIMES, EXTENDED)
NO_WORD = Look(Claim(None, None), None)


def attributes(*flags: int, size: int = 7, mode: int = stat.S_IFREG | 0o644, mtime: int = 9, more: int = 2) -> bytes:
    """Return attributes as a packet has them, of these flags."""
    parts = {
        SIZE: struct.pack(">Q", size),
        OWNER: struct.pack(">II", 1000, 1000),
        PERMISSIONS: struct.pack(">I", mode),
        TIMES: struct.pack(">II", 5, mtime),
        EXTENDED: struct.pack(">I", more) + more * (string(b"name@example.com") + string(b"value")),
    }
    return struct.pack(">I", sum(flags)) + b"".join(part for flag, part in parts.items() if flag in flags)


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (attributes(), NO_WORD),
        (attributes(SIZE), Look(Claim(7, None), None)),
        (attributes(TIMES), Look(Claim(None, 9), None)),
        (attributes(OWNER), NO_WORD),
        (attributes(EXTENDED), NO_WORD),
        (attributes(EXTENDED, more=0), NO_WORD),
        (attributes(PERMISSIONS), Look(Claim(None, None), stat.S_IFREG)),
        (attributes(PERMISSIONS, mode=0o644), NO_WORD),
        (attributes(PERMISSIONS, mode=0), NO_WORD),
        (attributes(PERMISSIONS, mode=stat.S_IFDIR | 0o755), Look(Claim(None, None), stat.S_IFDIR)),
        (attributes(PERMISSIONS, mode=stat.S_IFLNK | 0o777), Look(Claim(None, None), stat.S_IFLNK)),
        (attributes(PERMISSIONS, mode=0xFFFFFFFF), Look(Claim(None, None), 0o170000)),
        (attributes(*FLAGS), Look(Claim(7, 9), stat.S_IFREG)),
        (attributes(SIZE, TIMES, size=0, mtime=0), Look(Claim(0, 0), None)),
        (attributes(SIZE, TIMES, size=(1 << 64) - 1, mtime=(1 << 32) - 1), Look(Claim((1 << 64) - 1, (1 << 32) - 1), None)),
        (struct.pack(">I", 0x7FFFFFF0), NO_WORD),  # flags of later versions
    ],
)
def test_attributes(content: bytes, look: Look) -> None:
    cursor = Cursor(content + b"rest")
    assert cursor.look() == look
    assert cursor.rest()


@pytest.mark.parametrize(
    ("kind", "may_be_file"), [(None, True), (stat.S_IFREG, True), (stat.S_IFDIR, False), (stat.S_IFLNK, False), (0o170000, False)]
)
def test_what_may_be_a_file(kind: int | None, may_be_file: bool) -> None:
    assert Look(Claim(None, None), kind).may_be_file == may_be_file


@given(some.sets(some.sampled_from(FLAGS)), some.integers(0, (1 << 64) - 1), some.integers(0, (1 << 32) - 1), some.integers(0, 5))
def test_attributes_of_any_flags(flags: set[int], size: int, mtime: int, more: int) -> None:
    """What is said is read, what is not said is None; and every cut is seen."""
    content = attributes(*flags, size=size, mtime=mtime, more=more)
    cursor = Cursor(content)
    look = cursor.look()
    assert not cursor.rest()
    assert look.claim == Claim(size if SIZE in flags else None, mtime if TIMES in flags else None)
    assert look.kind == (stat.S_IFREG if PERMISSIONS in flags else None)
    for end in range(len(content)):
        with pytest.raises(NotSFTP):
            Cursor(content[:end]).look()


@given(some.lists(some.tuples(some.binary(max_size=20), some.sampled_from([attributes(), attributes(*FLAGS)])), max_size=4))
def test_entries_of_a_folder(entries: list[tuple[bytes, bytes]]) -> None:
    content = struct.pack(">I", len(entries)) + b"".join(string(name) + string(b"-rw-") + given for name, given in entries)
    assert [name for name, _ in Cursor(content).names()] == [name for name, _ in entries]
    for end in range(len(content)):
        with pytest.raises(NotSFTP):
            list(Cursor(content[:end]).names())


@pytest.mark.parametrize(
    ("content", "form"),
    [(b"", "I"), (b"\0\0\0", "I"), (b"\0" * 7, "Q")],
)
def test_numbers_that_are_cut(content: bytes, form: str) -> None:
    with pytest.raises(NotSFTP):
        Cursor(content).number(form)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\0\0\0\1", b"\0\0\0\5four", b"\xff\xff\xff\xffmuch"])
def test_strings_that_are_cut(content: bytes) -> None:
    with pytest.raises(NotSFTP):
        Cursor(content).string()


@given(some.lists(some.binary(max_size=50)))
def test_strings(strings: list[bytes]) -> None:
    cursor = Cursor(b"".join(string(one) for one in strings))
    assert [cursor.string() for _ in strings] == strings
    assert not cursor.rest()


# Answers.


def answer(kind: int, content: bytes = b"") -> "Future[tuple[int, bytes]]":
    """Return an answer that has come."""
    came: Future[tuple[int, bytes]] = Future()
    came.set_result((kind, content))
    return came


def status(code: int, *rest: bytes) -> bytes:
    return struct.pack(">I", code) + b"".join(rest)


def test_an_answer_of_the_wanted_kind() -> None:
    assert take(answer(Kind.HANDLE, string(b"7")), Kind.HANDLE).string() == b"7"
    assert take(answer(Kind.STATUS, status(OK, string(b"Success"), string(b"en"))), Kind.STATUS).number() == OK


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (status(DENIED), "code 3"),  # version 2 has no words
        (status(DENIED, string(b"")), "code 3"),
        (status(DENIED, string(b" \n")), "code 3"),
        (status(DENIED, string(b"...")), "code 3"),
        (status(DENIED, string(b"Permission denied."), string(b"en")), "Permission denied"),
        (status(DENIED, string(b"two\nlines \x1b[2J")), r"two\nlines \x1b[2J"),
        (status(DENIED, string("día".encode())), "día"),
        (status(DENIED, string(b"d\xeda")), "d\ufffda"),
        (status(DENIED, string(b"x" * 100_000)), "x" * 200),
    ],
)
def test_a_refusal(content: bytes, words: str) -> None:
    with pytest.raises(Refusal) as refusal:
        take(answer(Kind.STATUS, content), Kind.HANDLE)
    assert (refusal.value.code, str(refusal.value)) == (DENIED, words)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (Kind.DATA, string(b"7")),
        (Kind.STATUS, status(OK)),  # all is well, and no handle
        (Kind.STATUS, b"\0\0"),
        (Kind.STATUS, status(DENIED, b"\0\0\0\x09words")),
        (0, b""),
        (255, b"anything"),
    ],
)
def test_an_answer_that_is_none(kind: int, content: bytes) -> None:
    with pytest.raises(NotSFTP):
        take(answer(kind, content), Kind.HANDLE)


@given(some.integers(0, 255), some.binary(max_size=200), some.sampled_from(Kind))
def test_no_answer_raises_anything_else(kind: int, content: bytes, wanted: Kind) -> None:
    for read in (Cursor.look, Cursor.string, Cursor.number, lambda cursor: list(cursor.names())):
        for which in (kind, wanted, Kind.STATUS):
            try:
                read(take(answer(which, content), wanted))
            except (NotSFTP, Refusal) as error:
                assert str(error).isprintable()  # or it would get into the log like that


# Packets of a stream; a socket is read like a channel.


@contextmanager
def sent(data: bytes) -> Iterator[socket.socket]:
    """Give the end of a connection to which the other end has sent a few bytes, and then no more."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        near.settimeout(30)
        yield near


def packet(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


VERSION = bytes([Kind.VERSION])


@given(some.lists(some.binary(min_size=1, max_size=300), max_size=5), some.integers(0, 3))
def test_packets_of_a_stream(packets: list[bytes], cut: int) -> None:
    """Each comes whole, one that is cut does not come, and then the stream ends."""
    tail = b"\0\0\0\x09"[: cut + 1]
    with sent(b"".join(packet(one) for one in packets) + tail) as near:
        reader = PacketReader(near)  # type: ignore[arg-type]
        assert [reader.packet() for _ in packets] == packets
        with pytest.raises(EOFError):
            reader.packet()


@pytest.mark.parametrize("head", [b"\0\0\0\0", struct.pack(">I", LARGEST_PACKET + 1), b"Welc", b"\xff\xff\xff\xff"])
def test_packets_of_an_impossible_size(head: bytes) -> None:
    with sent(head + b"ome to this server") as near, pytest.raises(NotSFTP):
        PacketReader(near).packet()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "extensions"),
    [
        (VERSION + b"\0\0\0\3", set()),
        (VERSION + b"\0\0\0\2", set()),
        (VERSION + b"\0\0\0\3" + string(b"one") + string(b"1") + string(b"") + string(b""), {b"one", b""}),
    ],
)
def test_the_first_packet(content: bytes, extensions: set[bytes]) -> None:
    with sent(packet(content)) as near:
        assert PacketReader(near).version() == extensions  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content", [VERSION, VERSION + b"\0\0\0", VERSION + b"\0\0\0\3" + string(b"one"), bytes([Kind.STATUS]) + status(4), b"\0"]
)
def test_a_first_packet_that_is_none(content: bytes) -> None:
    with sent(packet(content)) as near, pytest.raises(NotSFTP):
        PacketReader(near).version()  # type: ignore[arg-type]


@given(some.binary(max_size=500))
def test_no_stream_raises_anything_else(data: bytes) -> None:
    for read in (PacketReader.version, PacketReader.packet):
        with sent(data) as near, pytest.raises((NotSFTP, EOFError)):
            reader = PacketReader(near)  # type: ignore[arg-type]
            while True:
                read(reader)


GOOD = [
    (Kind.HANDLE, string(b"handle")),
    (Kind.DATA, string(b"bytes")),
    (Kind.ATTRS, attributes(*FLAGS)),
    (Kind.STATUS, status(OK)),
    (Kind.STATUS, status(END)),
]
ANSWERS = some.one_of(
    some.sampled_from(GOOD),
    some.tuples(some.sampled_from([*Kind, 0, 255]), some.binary(max_size=40)),
    some.tuples(some.sampled_from([*Kind, 0, 255]), some.binary(max_size=20).map(string)),
)


@contextmanager
def answering(first: bytes, answers: list[tuple[int, bytes]]) -> Iterator[socket.socket]:
    """Give the end of a connection at whose other end each request is answered, in order; behind the last answer it is closed."""
    near, far = socket.socketpair()

    def serve() -> None:
        with suppress(EOFError, OSError), far:
            requests = PacketReader(far)  # type: ignore[arg-type]
            requests.packet()
            far.sendall(packet(first))
            for kind, content in answers:
                number = requests.packet()[1:5]
                far.sendall(packet(bytes([kind]) + number + content))

    (server := Thread(target=serve)).start()
    with near:
        near.settimeout(30)
        yield near
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
    server.join(30)
    assert not server.is_alive()


@settings(max_examples=200)
@given(some.lists(ANSWERS, max_size=8), some.booleans(), some.integers(0, 4))
def test_no_server_raises_anything_else(answers: list[tuple[int, bytes]], limits: bool, first: int) -> None:
    """Whatever it answers: the caller gets what it said or one of three errors, and never waits for ever."""
    announced = string(b"limits@openssh.com") + string(b"1") if limits else b""
    known = (NotSFTP, Refusal, Broken)
    with answering(VERSION + b"\0\0\0\3" + announced, answers) as near:
        try:
            client = Client(near)  # type: ignore[arg-type]
        except known:
            return
        ways: list[Callable[[], object]] = [
            lambda: client.look(b"/report_1.txt"),
            lambda: list(client.list(b"/")),
            lambda: b"".join(client.read(b"/report_1.txt", 7)),
            lambda: client.read_first(b"/report_1.txt"),
            lambda: client.remove(b"/report_1.txt"),
        ]
        for ask in ways[first:] + ways[:first]:
            try:
                ask()
            except known as error:
                assert str(error).isprintable()


class SlowSocket(socket.socket):
    """A socket that sends nothing before it may."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(fileno=plain.detach())
        self.settimeout(30)
        self.rounds: list[bytes] = []
        self.may_send = Event()

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self.rounds.append(bytes(data))
        assert self.may_send.wait(30)
        super().sendall(data, flags)


def test_what_is_asked_while_another_is_being_sent_goes_out_at_once() -> None:
    """Many threads, few writes: each write costs a packet of SSH and a call of the system."""
    questions, path = 8, b"/report_1.txt"
    answers = questions * [(int(Kind.ATTRS), attributes(SIZE))]
    with answering(VERSION + b"\0\0\0\3", answers) as near, SlowSocket(near) as slow, ThreadPoolExecutor(questions) as pool:
        slow.may_send.set()
        client = Client(slow)  # type: ignore[arg-type]
        slow.may_send.clear()
        slow.rounds.clear()
        looks = [pool.submit(client.look, path)]
        while not slow.rounds:
            pass
        looks += [pool.submit(client.look, path) for _ in range(questions - 1)]
        while len(client._waiting) < questions:
            pass
        slow.may_send.set()
        assert [look.result(30) for look in looks] == questions * [Look(Claim(7, None), None)]
        assert [data.count(path) for data in slow.rounds if data] == [1, questions - 1]

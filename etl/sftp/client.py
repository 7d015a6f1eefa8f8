"""An SFTP client that many threads use at once over one connection."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from struct import pack
from threading import Lock, Thread

import paramiko

from base.workdir import Claim
from sftp.packets import (
    END,
    MISSING,
    UNSUPPORTED,
    Answer,
    Kind,
    Look,
    NotSFTP,
    PacketReader,
    Refusal,
    string,
    take,
)
from sftp.reading import Blocks, Reading
from sftp.transport import protection_of

BLOCK = 1 << 15  # bytes of an answer: what every server gives
LARGEST_BLOCK = 1 << 18  # bytes; OpenSSH gives a little less
MOST_NAMES = 1_000_000  # in a folder
LISTING_LIMIT = 600  # seconds for a listing
SLOWEST = 10_000  # bytes per second; a connection that brings less for a minute, and finishes no file, hangs
MINUTE = 60  # seconds
LIMITS = b"limits@openssh.com"  # an extension: how much the server gives
FOR_READING = 1  # from the flags of OPEN


class Broken(Exception):
    """A connection that is of no use any more."""


class Client:
    """One connection. It raises Refusal for what the server cannot do, and Broken once the connection is of no use."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self.gently = False  # one request at a time: for servers that allow no more
        self.most_open = 0  # files that may be open at once; 0: the server does not say
        self._channel = channel
        self._packets = PacketReader(channel)
        self._lock = Lock()  # of the next five
        self._waiting: dict[int, Future[Answer]] = {}  # by number of request
        self._number = 0
        self._to_send, self._is_sending = b"", False  # requests that wait for the thread that is sending
        self._trouble = ""  # why the connection is of no use
        self._since, self._brought = time.monotonic(), 0.0  # when this minute began, and what it has brought, in bytes
        self._looks = [Kind.LSTAT, Kind.STAT]  # ways to look; a server that does not know the first is asked the second
        self._blocks = Blocks(BLOCK)
        channel.sendall(pack(">IBI", 5, Kind.INIT, 3))
        extensions = self._packets.version()
        Thread(target=self._receive, daemon=True).start()
        if LIMITS in extensions:  # a server that does not announce it may break on it
            self._ask_limits()

    def protection(self) -> str:
        """Return what protects the connection: the type of the host key, which is pinned, and the cipher."""
        return protection_of(self._channel.get_transport())

    def look(self, path: bytes) -> Look | None:
        """Return what the server says of a file, or None if there is none."""
        while self._looks:
            way = self._looks[0]
            try:
                return take(self._ask(way, string(path)), Kind.ATTRS).look()
            except Refusal as error:
                if error.code == MISSING:
                    return None
                if error.code != UNSUPPORTED:
                    raise
                self._looks = [other for other in self._looks if other != way]
        return Look(Claim(None, None), None)

    def list(self, folder: bytes) -> Iterator[tuple[bytes, Look]]:
        """Yield each name in a folder once, with what the server says of it. Of names that were yielded, 8 bytes are kept."""
        handle = take(self._ask(Kind.OPENDIR, string(folder)), Kind.HANDLE).string()
        seen: set[int] = set()
        end = time.monotonic() + LISTING_LIMIT
        try:
            while len(seen) <= MOST_NAMES:
                if time.monotonic() > end:
                    raise Refusal(0, f"its listing takes more than {LISTING_LIMIT} seconds")
                entries = dict(take(self._ask(Kind.READDIR, string(handle)), Kind.NAME).names())
                new = {hash(name): name for name in entries if hash(name) not in seen}
                if not new:
                    return  # some servers begin anew, for ever
                seen.update(new)
                yield from ((name, entries[name]) for name in new.values())
            raise Refusal(0, f"it lists more than {MOST_NAMES:,} names")
        except Refusal as error:
            if error.code != END:
                raise
        finally:
            self._close(handle)

    def read(self, path: bytes, expected: int | None) -> Iterator[bytes]:
        """Yield the bytes of a file, up to where the server says that it ends, however many are expected."""
        handle = self._open(path)
        try:
            yield from Reading(self._ask, handle, self._blocks, expected or 0)
        except Refusal as error:
            if error.code != END:
                raise
        finally:
            self._close(handle)

    def read_first(self, path: bytes) -> None:
        """Read the first byte of a file; an empty file has none."""
        handle = self._open(path)
        try:
            take(self._ask(Kind.READ, string(handle) + pack(">QI", 0, 1)), Kind.DATA)
        except Refusal as error:
            if error.code != END:
                raise
        finally:
            self._close(handle)

    def remove(self, path: bytes) -> None:
        """Remove a file; one that is gone already is removed."""
        try:
            take(self._ask(Kind.REMOVE, string(path)), Kind.STATUS)
        except Refusal as error:
            if error.code != MISSING:
                raise

    def ask_gently(self) -> None:
        """Have no more than one request on its way from now on; wait for the answers to those that are."""
        self.gently = True
        for answer in list(self._waiting.values()):
            answer.exception()

    def finished(self) -> None:
        """Say that a file is done: whoever finishes files does not hang."""
        self._brought += MINUTE * SLOWEST

    def _ask(self, kind: Kind, content: bytes) -> "Future[Answer]":
        """Send a request and return its answer, which is still to come."""
        answer: Future[Answer] = Future()
        with self._lock:
            if self._trouble:
                raise Broken(self._trouble)
            if not self._waiting:
                self._since, self._brought = time.monotonic(), 0
            self._number += 1
            self._waiting[self._number] = answer
            self._to_send += pack(">IBI", len(content) + 5, kind, self._number) + content
            sends, self._is_sending = not self._is_sending, True
        while sends:  # what other threads ask for meanwhile goes out with the next round: few large writes, not many small ones
            with self._lock:
                round_, self._to_send = self._to_send, b""
                sends = self._is_sending = bool(round_)
            with suppress(OSError, EOFError, paramiko.SSHException):  # the connection is closed; whoever waits hears of it
                self._channel.sendall(round_)
        if self.gently:
            answer.exception()  # wait for it
        return answer

    def _open(self, path: bytes) -> bytes:
        """Open a file for reading and return its handle."""
        return take(self._ask(Kind.OPEN, string(path) + pack(">II", FOR_READING, 0)), Kind.HANDLE).string()

    def _ask_limits(self) -> None:
        """Ask how much the server gives at once."""
        with suppress(Refusal):
            limits = take(self._ask(Kind.EXTENDED, string(LIMITS)), Kind.EXTENDED_REPLY)
            limits.number("Q")  # bytes of a packet
            self._blocks = Blocks(max(BLOCK, min(limits.number("Q"), LARGEST_BLOCK)))
            limits.number("Q")  # bytes to write
            self.most_open = limits.number("Q")

    def _close(self, handle: bytes) -> None:
        """Give a file or folder back; nobody waits for the answer."""
        with suppress(Broken):
            self._ask(Kind.CLOSE, string(handle))

    def _receive(self) -> None:
        """Hand out answers until the connection is of no use; runs in a thread of its own."""
        try:
            while True:
                try:
                    packet = self._packets.packet()
                except TimeoutError:
                    if self._waiting:
                        raise
                    continue  # nobody asked for anything
                if answer := self._waiting.pop(int.from_bytes(packet[1:5]), None):
                    answer.set_result((packet[0], packet[5:]))
                self._brought += len(packet)
                if (now := time.monotonic()) - self._since > MINUTE:
                    if self._brought < MINUTE * SLOWEST:
                        raise TimeoutError(f"it brings less than {SLOWEST / 1000:.0f} kB/s")
                    self._since, self._brought = now, 0
        except Exception as error:  # noqa: BLE001 - whoever waits for an answer gets it
            said = str(error) or "it has been silent for too long"
            self._channel.close()
            with self._lock:
                self._trouble = said
                for answer in self._waiting.values():
                    answer.set_exception(Broken(said) if not isinstance(error, NotSFTP) else error)
                self._waiting.clear()

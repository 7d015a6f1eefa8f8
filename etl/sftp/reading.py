"""The bytes of one open file, many of them asked for at once."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from struct import pack
from threading import BoundedSemaphore
from typing import NamedTuple

from sftp.packets import Answer, Kind, Refusal, string, take

MOST_BYTES = 1 << 21  # asked for at once, over all files of a connection, beside one block of each; more only waits here

Ask = Callable[[Kind, bytes], "Future[Answer]"]


class Blocks:
    """How much a server is asked for at once; shared by all files of a connection."""

    def __init__(self, size: int) -> None:
        self.size = size  # bytes of a block
        self.free = BoundedSemaphore(MOST_BYTES // size)  # blocks that may be asked for besides


class Part(NamedTuple):
    """Bytes of a file that are asked for."""

    start: int
    length: int
    given: int  # bytes that the server gave for more, the rest of which this is; 0: it is no rest
    answer: "Future[Answer]"


class Reading:
    """A file from its beginning up to where the server says that it ends."""

    def __init__(self, ask: Ask, handle: bytes, blocks: Blocks, expected: int) -> None:
        self._ask, self._handle, self._blocks = ask, handle, blocks
        self._said = expected  # bytes that the server has said, or 0
        self._expected = expected  # bytes that are asked for ahead, and one block behind them, which is to show the end
        self._next = 0  # offset of what is asked for next
        self._parts: deque[Part] = deque()
        self._held = 0  # of blocks.free

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, block by block. The server's word for the end is a Refusal, which the caller knows."""
        try:
            while True:
                self._ask_ahead()
                part = self._parts.popleft()
                block = take(part.answer, Kind.DATA).string()
                if len(block) > part.length:
                    raise Refusal(0, f"it gave {len(block)} bytes where {part.length} were asked for")
                if not block and part.start < self._said:
                    raise Refusal(0, f"it gave no bytes at {part.start} of {self._said}")
                if not block:  # some servers say so that a file ends
                    return
                yield block
                self._go_on(part, len(block))
        finally:
            for _ in range(self._held):
                self._blocks.free.release()

    def _ask_ahead(self) -> None:
        """Ask for more, as far as it is expected, and as far as other files leave room; for one block at least.

        Nothing waits for room: a small file would wait for the end of a large one.
        """
        while self._next <= self._expected and (not self._parts or self._blocks.free.acquire(blocking=False)):
            self._held += bool(self._parts)
            length = min(self._blocks.size, self._expected - self._next) or self._blocks.size
            self._parts.append(self._part(self._next, length))
            self._next += length

    def _go_on(self, part: Part, given: int) -> None:
        """Ask for the rest of a part of which so many bytes were given; expect more where the end should have been."""
        if part.given:
            self._blocks.size = min(self._blocks.size, part.given)  # the rest is no end: this server gives no more at once
        if part.start >= self._expected:
            self._expected = max(self._expected, 2 * self._next)
        if given < part.length:
            self._parts.appendleft(self._part(part.start + given, part.length - given, given))
        elif self._held:
            self._blocks.free.release()
            self._held -= 1

    def _part(self, start: int, length: int, given: int = 0) -> Part:
        request = string(self._handle) + pack(">QI", start, length)
        return Part(start, length, given, self._ask(Kind.READ, request))

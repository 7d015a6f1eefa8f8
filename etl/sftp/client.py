"""An SFTP client that has many requests on their way at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from queue import Empty, SimpleQueue
from struct import unpack
from typing import Any, NamedTuple

import paramiko
from paramiko.buffered_pipe import PipeTimeout
from paramiko.sftp import CMD_DATA, CMD_EXTENDED, CMD_EXTENDED_REPLY, CMD_NAME, CMD_READ, CMD_STATUS, int64

from sftp.ssh import TIMEOUT

WINDOW = 1 << 26  # bytes that the server may send before it hears from us; what is asked for is the limit
MOST_REQUESTS = 64  # on their way at once
MOST_BYTES = 1 << 21  # asked for at once; more only waits here
BLOCK = 1 << 15  # bytes of an answer: what every server gives
LARGEST_BLOCK = 1 << 18  # bytes; OpenSSH gives a little less
LIMITS = "limits@openssh.com"  # the request by which a server says how much it gives
LARGEST_PACKET = (1 << 24) - 1  # bytes; more is not SFTP

Answer = tuple[int, paramiko.Message]  # its kind and its content


class Request(NamedTuple):
    """What the server is asked for."""

    name: str  # of the file that it is about
    kind: int
    arguments: tuple[Any, ...]
    size: int = 0  # bytes of a file that the answer may hold


class Answers(dict[int, Answer]):
    """The answers that have come, by request number, until they are taken."""

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self[number] = kind, message


class Pipe:
    """What a channel has received, block by block as it came; in the place of paramiko's, which moves all of it at each read."""

    def __init__(self) -> None:
        self._blocks = SimpleQueue[bytes | None]()

    def feed(self, block: bytes) -> None:
        """Take what was received."""
        if block:
            self._blocks.put(block)

    def read(self, _size: int, timeout: float | None = None) -> bytes:
        """Return the next block, of whatever size; no bytes if the channel is closed."""
        try:
            block = self._blocks.get(timeout=timeout)
        except Empty:
            raise PipeTimeout from None
        if block is None:
            self.close()  # for the next read too
        return block or b""

    def close(self) -> None:
        """Say that no more will come."""
        self._blocks.put(None)


class Client(paramiko.SFTPClient):
    """paramiko's client, with three ways of our own.

    - A name or a message that is not UTF-8 ends nothing.
    - Many requests are on their way at once: paramiko waits for the answer to each, but for
      ``SFTPFile.prefetch``, whose thread may fall behind the server, and then the rest of the file is
      pulled twice, once of it into the memory.
    - They go out together, and what comes in is not copied over and over.
    """

    _unsent = b""  # requests that go out when an answer is waited for
    _unread = memoryview(b"")  # what has come behind the last answer

    @classmethod
    def over(cls, transport: paramiko.Transport) -> "Client":
        """Return a client over a connection that is logged in."""
        channel = transport.open_session(WINDOW)
        channel.in_buffer = Pipe()  # type: ignore[assignment]  # it has the part of BufferedPipe that a channel uses
        channel.settimeout(TIMEOUT)
        channel.invoke_subsystem("sftp")
        return cls(channel)

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        """Yield every request with its answer, in order."""
        answers, asked = Answers(), deque[tuple[int, Request]]()
        coming = iter(requests)
        size = 0
        while True:
            while len(asked) < MOST_REQUESTS and size < MOST_BYTES and (request := next(coming, None)):
                asked.append((self._async_request(answers, request.kind, *request.arguments), request))  # type: ignore[attr-defined]
                size += request.size
            if not asked:
                return
            number, request = asked.popleft()
            size -= request.size
            while number not in answers:
                self._read_response()  # type: ignore[attr-defined]  # none of these is in the stubs
            yield request, answers.pop(number)

    def _write_all(self, out: bytes) -> None:
        self._unsent += out

    def _read_packet(self) -> tuple[int, bytes]:
        size, kind = unpack(">IB", self._read_all(5))
        if not 0 < size <= LARGEST_PACKET:
            raise paramiko.SFTPError("Garbage packet received")
        return kind, self._read_all(size - 1)

    def _read_all(self, wanted: int) -> bytes:
        parts = []
        while wanted > len(self._unread):
            parts.append(self._unread)
            wanted -= len(self._unread)
            if self._unsent:
                super()._write_all(self._unsent)  # type: ignore[misc]  # not in the stubs
                self._unsent = b""
            self._unread = memoryview(self.sock.recv(wanted))
            if not self._unread:
                raise EOFError
        parts.append(self._unread[:wanted])
        self._unread = self._unread[wanted:]
        return b"".join(parts)

    def content(self, answer: Answer, wanted: int = CMD_STATUS) -> paramiko.Message:
        """Return what an answer holds; raise OSError, or EOFError, if it is that the server cannot do it."""
        kind, message = answer
        if kind == CMD_STATUS:
            self._convert_status(message)
        if kind != wanted:
            raise paramiko.SFTPError(f"an answer of kind {kind} instead of {wanted}")
        return message

    @cached_property
    def block(self) -> int:
        """The bytes that the server gives in one answer."""
        kind, message = self.only(Request("", CMD_EXTENDED, (LIMITS,)))
        if kind != CMD_EXTENDED_REPLY:
            return BLOCK
        message.get_int64()  # bytes of a packet
        return min(message.get_int64() or BLOCK, LARGEST_BLOCK)

    def reads(self, name: str, handle: bytes, size: int) -> Iterator[Request]:
        """Yield the requests for the first ``size`` bytes of an open file."""
        for start in range(0, size, self.block):
            length = min(self.block, size - start)
            yield Request(name, CMD_READ, (handle, int64(start), length), length)

    def only(self, request: Request) -> Answer:
        """Return the answer to one request."""
        ((_, answer),) = self.ask([request])
        return answer

    def blocks(self, request: Request, answer: Answer) -> Iterator[bytes]:
        """Yield the bytes of a request of ``reads``: in one block, or in more if the server gives less than it is asked for."""
        handle, start, length = request.arguments
        with suppress(EOFError):
            while block := self.content(answer, CMD_DATA).get_string():
                yield block
                start, length = int64(start + len(block)), length - len(block)
                if length <= 0:
                    break
                answer = self.only(Request(request.name, CMD_READ, (handle, start, length)))

    def _convert_status(self, message: paramiko.Message) -> None:
        message.get_text = lambda: message.get_string().decode(errors="replace")  # type: ignore[method-assign]
        super()._convert_status(message)  # type: ignore[misc]  # not in the stubs

    def _request(self, kind: int, *args: object) -> tuple[int, paramiko.Message]:
        answer, message = super()._request(kind, *args)  # type: ignore[misc]  # not in the stubs
        if answer == CMD_NAME:
            message.get_text = lambda: message.get_string().decode(errors="surrogateescape")
        return answer, message

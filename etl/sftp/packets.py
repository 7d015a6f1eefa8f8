"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as they are used here."""

import stat
from collections.abc import Iterator
from concurrent.futures import Future
from enum import IntEnum
from struct import pack, unpack_from
from typing import NamedTuple

import paramiko

from base.masking import clean
from base.workdir import Claim

LARGEST_PACKET = 1 << 24  # bytes; more is not SFTP
RECEIVED = 1 << 20  # bytes that are taken from the connection at once
OK, END, MISSING, DENIED, UNSUPPORTED = 0, 1, 2, 3, 8  # codes of STATUS that are told from others
SIZE, OWNER, PERMISSIONS, TIMES, EXTENDED = 1, 2, 4, 8, 1 << 31  # flags of attributes

Answer = tuple[int, bytes]  # kind and content, the number of the request left out


class Kind(IntEnum):
    """Kinds of packets."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    LSTAT = 7
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    STAT = 17
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class NotSFTP(Exception):
    """A server that speaks something else."""


class Refusal(Exception):
    """A server's answer that it cannot do what it was asked; its text is clean."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(clean(words.strip()).rstrip(".") or f"code {code}")
        self.code = code


class Look(NamedTuple):
    """What a server says of a file."""

    claim: Claim
    kind: int | None  # as stat.S_IFMT gives it; None is not said

    @property
    def may_be_file(self) -> bool:
        """Whether it is a file, for all that is said."""
        return self.kind in (None, stat.S_IFREG)


class Cursor:
    """The content of a packet, read from its beginning on; raises NotSFTP where it is too short."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, form: str = "I") -> int:
        """Return the next number: of 32 bits, or in another form of struct's."""
        try:
            (value,) = unpack_from(f">{form}", self._content, self._at)
        except Exception as error:
            raise NotSFTP("a packet that is cut short") from error
        self._at += {"I": 4, "Q": 8}[form]
        return int(value)

    def string(self) -> bytes:
        """Return the next string."""
        size = self.number()
        found = self._content[self._at : self._at + size]
        if len(found) < size:
            raise NotSFTP("a packet that is cut short")
        self._at += size
        return found

    def look(self) -> Look:
        """Return the next attributes."""
        flags = self.number()
        size = self.number("Q") if flags & SIZE else None
        if flags & OWNER:
            self.number("Q")
        mode = self.number() if flags & PERMISSIONS else 0
        mtime = self.number("Q") & 0xFFFFFFFF if flags & TIMES else None  # behind the time of the last access
        for _ in range(self.number() if flags & EXTENDED else 0):
            self.string(), self.string()
        return Look(Claim(size, mtime), stat.S_IFMT(mode) or None)

    def names(self) -> Iterator[tuple[bytes, Look]]:
        """Yield the entries of a folder."""
        for _ in range(self.number()):
            name, _long_name = self.string(), self.string()
            yield name, self.look()

    def rest(self) -> bool:
        """Return whether there is more."""
        return self._at < len(self._content)


class PacketReader:
    """The packets that come over a channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._buffer = bytearray()

    def packet(self) -> bytes:
        """Return the next packet, its length left out; raise EOFError at the end, TimeoutError if the server is silent."""
        while True:
            if len(self._buffer) >= 4:
                (size,) = unpack_from(">I", self._buffer)
                if not 0 < size <= LARGEST_PACKET:
                    raise NotSFTP("a packet of an impossible size")
                if len(self._buffer) >= size + 4:
                    with memoryview(self._buffer) as view:
                        packet = bytes(view[4 : size + 4])
                    del self._buffer[: size + 4]
                    return packet
            received = self._channel.recv(RECEIVED)
            if not received:
                raise EOFError("the server ended the connection")
            self._buffer += received

    def version(self) -> set[bytes]:
        """Return the names of the extensions that the server announces in its first packet."""
        packet = self.packet()
        if packet[0] != Kind.VERSION:
            raise NotSFTP(f"its first packet is of kind {packet[0]}")
        rest = Cursor(packet[1:])
        rest.number()  # the version: a server answers with ours, or a lower one
        names = set()
        while rest.rest():
            names.add(rest.string())
            rest.string()
        return names


def take(answer: "Future[Answer]", wanted: Kind) -> Cursor:
    """Wait for an answer and return its content; raise Refusal if it is one."""
    kind, content = answer.result()
    if kind == Kind.STATUS:
        cursor = Cursor(content)
        code = cursor.number()
        if code != OK:
            words = cursor.string().decode(errors="replace") if cursor.rest() else ""  # version 2 has none
            raise Refusal(code, words)
    if kind != wanted:
        raise NotSFTP(f"an answer of kind {kind} instead of {wanted}")
    return Cursor(content)


def string(text: bytes) -> bytes:
    """Return a string as a packet has it."""
    return pack(">I", len(text)) + text

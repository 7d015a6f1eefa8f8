"""SFTP as the quirky server speaks it, packet by packet."""

import errno
import os
import posixpath
import stat
import struct
import time
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Protocol

import paramiko
from paramiko import Message
from paramiko.server import SubsystemHandler
from paramiko.sftp import (
    CMD_ATTRS,
    CMD_CLOSE,
    CMD_DATA,
    CMD_EXTENDED,
    CMD_EXTENDED_REPLY,
    CMD_FSTAT,
    CMD_HANDLE,
    CMD_LSTAT,
    CMD_NAME,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_REALPATH,
    CMD_REMOVE,
    CMD_STAT,
    CMD_STATUS,
    CMD_VERSION,
    CMD_WRITE,
    SFTP_BAD_MESSAGE,
    SFTP_EOF,
    SFTP_FAILURE,
    SFTP_NO_SUCH_FILE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
)

from kit.quirks import ALWAYS, Attributes, Moment, Quirks, Says, Trouble, changed

LIMITS = "limits@openssh.com"
PAUSE = 0.01  # seconds; requests that come within it are on their way at once
ENTRIES = 50  # names of one answer to READDIR
GROWTH = b"late@example.com,,,,08/02/2013 18:30,-,0,0,-,0,0,-,-,-,-\r\n"

REQUESTS = {  # the words of ``Quirks.on``
    CMD_OPEN: "open",
    CMD_CLOSE: "close",
    CMD_READ: "read",
    CMD_WRITE: "write",
    CMD_LSTAT: "lstat",
    CMD_STAT: "stat",
    CMD_FSTAT: "fstat",
    CMD_OPENDIR: "opendir",
    CMD_READDIR: "readdir",
    CMD_REMOVE: "remove",
    CMD_REALPATH: "realpath",
    CMD_EXTENDED: "extended",
}
OF_HANDLES = (CMD_CLOSE, CMD_READ, CMD_WRITE, CMD_FSTAT, CMD_READDIR)  # they begin with a handle, the others with a path

Packet = tuple[int, bytes]  # its kind and what follows: for a request, the request's number first
Reply = tuple[int, bytes]  # its kind and what follows the request's number


class Refusal(Exception):
    """A STATUS that is not OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


class Broken(Exception):
    """The connection is to be closed."""


class Site(Protocol):
    """What the session needs of the server."""

    served: Path  # the folder of the reports
    quirks: Quirks
    requests: list[str]
    grown: dict[str, bytes]
    spent: Counter[str]


class Opened:
    """An open file, or an open folder with the entries that are still to be listed."""

    def __init__(self, name: str, path: str, descriptor: int = -1, entries: Iterator[bytes] | None = None) -> None:
        self.name, self.path, self.descriptor, self.entries = name, path, descriptor, entries or iter(())


class Session(SubsystemHandler):
    """One conversation in SFTP. A method ``_open`` answers the request "open", and so on."""

    def __init__(self, channel: paramiko.Channel, name: str, doorman: paramiko.ServerInterface, server: Site) -> None:
        super().__init__(channel, name, doorman)
        self._channel, self._server, self._quirks = channel, server, server.quirks
        self._handles: dict[bytes, Opened] = {}
        self._made = 0  # handles so far
        self._read_names: set[str] = set()

    def start_subsystem(self, _name: str, transport: paramiko.Transport, _channel: paramiko.Channel) -> None:
        """Talk until the client hangs up, or a quirk says that the connection breaks."""
        try:
            self._packet()  # INIT
            extensions = b"".join(packed(name, "1") for name in self._quirks.announces)
            self._send(CMD_VERSION, struct.pack(">I", 3) + extensions)
            while True:
                self._converse(self._together())
        except (EOFError, OSError):
            pass
        except Broken:
            transport.close()

    def finish_subsystem(self) -> None:
        """Close what is open."""
        for opened in self._handles.values():
            if opened.descriptor >= 0:
                os.close(opened.descriptor)
        super().finish_subsystem()

    # Packets.

    def _together(self) -> list[Packet]:
        """Return the next request; with a quirk that needs it, all that are on their way at once."""
        packets = [self._packet()]
        if self._quirks.backwards or self._quirks.most_requests < ALWAYS:
            time.sleep(PAUSE)
            while self._channel.recv_ready():
                packets.append(self._packet())
        return packets

    def _converse(self, packets: list[Packet]) -> None:
        """Answer requests that came together."""
        numbers = range(len(packets))
        for number in reversed(numbers) if self._quirks.backwards else numbers:
            kind, content = packets[number]
            message = Message(content)
            head = struct.pack(">I", message.get_int())
            try:
                if len(packets) > self._quirks.most_requests and (
                    number >= self._quirks.most_requests or self._quirks.beyond.how == "break"
                ):
                    self._meet(self._quirks.beyond)
                    continue
                reply = self._answer(kind, message)
            except Refusal as refusal:
                reply = status(refusal.code, refusal.text + self._quirks.status_text)
            except OSError as error:
                reply = status(code_of(error), str(error.strerror) + self._quirks.status_text)
            if reply:
                self._send(reply[0], head + reply[1])

    def _packet(self) -> Packet:
        size, kind = struct.unpack(">IB", self._take(5))
        return kind, self._take(size - 1)

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            if not (block := self._channel.recv(size - len(taken))):
                raise EOFError
            taken += block
        return taken

    def _send(self, kind: int, content: bytes) -> None:
        self._channel.sendall(struct.pack(">IB", len(content) + 1, kind) + content)

    # Requests.

    def _answer(self, kind: int, message: Message) -> Reply | None:
        """Return the answer to a request, or None if it gets none; raise Refusal, OSError or Broken."""
        word, subject = REQUESTS.get(kind, f"kind{kind}"), message.get_binary()
        if kind in OF_HANDLES:
            if subject not in self._handles:
                raise Refusal(SFTP_BAD_MESSAGE, "Invalid handle")
            name = self._handles[subject].name
        else:
            name = os.fsdecode(posixpath.basename(subject))
        if kind == CMD_EXTENDED and name in self._quirks.announces:
            return self._announced(name)
        rest = message.get_remainder()
        if kind == CMD_OPEN and struct.unpack(">I", rest[:4])[0] & 2:
            word = "create"
        request, offset = f"{word} {name}", struct.unpack(">Q", rest[:8])[0] if kind == CMD_READ else 0
        self._server.requests.append(request)
        for pattern, trouble in self._quirks.on.items():
            if self._strikes(request, offset, pattern, trouble):
                self._meet(trouble)
                return None
        method = getattr(self, f"_{word}", None)
        if method is None:
            raise Refusal(SFTP_OP_UNSUPPORTED, "Operation unsupported")
        reply: Reply = method(subject, rest)
        return reply

    def _strikes(self, request: str, offset: int, pattern: str, trouble: Trouble) -> bool:
        """Return whether a line of ``on`` strikes a request now, and count it."""
        spent = self._server.spent
        if not fnmatchcase(request, pattern) or offset < trouble.behind or spent[pattern] >= trouble.times:
            return False
        spent[pattern] += 1
        return True

    def _meet(self, trouble: Trouble) -> None:
        """Do what a trouble says."""
        if trouble.how == "break":
            raise Broken
        if trouble.how == "refuse":
            raise Refusal(trouble.code, trouble.text)

    def _path(self, path: bytes) -> str:
        """Return the local path: the served folder's own, or that of something right in it."""
        wanted = posixpath.normpath(os.fsdecode(path))
        if str(self._server.served) not in (wanted, posixpath.dirname(wanted)):
            raise Refusal(SFTP_NO_SUCH_FILE, "No such file")
        return wanted

    def _handle(self, opened: Opened) -> Reply:
        self._made += 1
        handle = b"%d" % self._made
        self._handles[handle] = opened
        return CMD_HANDLE, packed(handle)

    def _says(self, found: os.stat_result, name: str) -> Reply:
        """Return what it says of a file that it looks at."""
        says = self._saying(name)
        changes = says.looked + (says.looked_after if name in self._read_names else ())
        self._read_names.discard(name)
        return CMD_ATTRS, changed(Attributes.of(found), changes).pack()

    def _saying(self, name: str) -> Says:
        """Return what it says of a file instead of the truth."""
        return next((says for pattern, says in self._quirks.says.items() if fnmatchcase(name, pattern)), Says())

    def _lstat(self, path: bytes, _rest: bytes) -> Reply:
        local = self._path(path)
        return self._says(os.lstat(local), Path(local).name)

    def _stat(self, path: bytes, _rest: bytes) -> Reply:
        local = self._path(path)
        return self._says(Path(local).stat(), Path(local).name)

    def _fstat(self, handle: bytes, _rest: bytes) -> Reply:
        opened = self._handles[handle]
        return self._says(os.fstat(opened.descriptor), opened.name)

    def _realpath(self, path: bytes, _rest: bytes) -> Reply:
        absolute = os.fsencode(posixpath.normpath(posixpath.join(os.fsencode(self._server.served), path)))
        return CMD_NAME, struct.pack(">I", 1) + packed(absolute, absolute) + struct.pack(">I", 0)

    def _opendir(self, path: bytes, _rest: bytes) -> Reply:
        local = self._path(path)
        os.scandir(local).close()  # or it says why not
        return self._handle(Opened(Path(local).name, local, entries=self._entries(local)))

    def _entries(self, local: str) -> Iterator[bytes]:
        """Yield the entries of a folder, as often as it lists them."""
        for _ in range(self._quirks.listings):
            with os.scandir(os.fsencode(local)) as entries:
                found = {entry.name: Attributes.of(entry.stat(follow_symlinks=False)) for entry in entries}
            for name in (b".", b".."):
                found[name] = Attributes.of(Path(local).stat())
            for name in self._quirks.names:
                found[name] = Attributes(1, stat.S_IFREG | 0o644, 1_000_000_000)
            for name, attributes in found.items():
                yield packed(name, b"-rw-r--r-- 1 " + name) + changed(attributes, self._saying(os.fsdecode(name)).listed).pack()
        for number in count() if self._quirks.endless_listing else ():
            name = b"other_%d" % number
            yield packed(name, name) + Attributes(1, stat.S_IFREG | 0o644, 1_000_000_000).pack()

    def _readdir(self, handle: bytes, _rest: bytes) -> Reply:
        entries = [entry for _, entry in zip(range(ENTRIES), self._handles[handle].entries, strict=False)]
        if not entries:
            raise Refusal(SFTP_EOF, "End of file")
        return CMD_NAME, struct.pack(">I", len(entries)) + b"".join(entries)

    def _open(self, path: bytes, _rest: bytes) -> Reply:
        local = self._path(path)
        if sum(opened.descriptor >= 0 for opened in self._handles.values()) >= self._quirks.most_handles:
            self._meet(self._quirks.beyond)
        if Path(local).is_dir():
            raise Refusal(SFTP_FAILURE, "Failure")
        descriptor = os.open(local, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO without a writer gives nothing
        self._removes("open", local)
        return self._handle(Opened(Path(local).name, local, descriptor))

    def _create(self, path: bytes, _rest: bytes) -> Reply:
        local = self._path(path)
        return self._handle(Opened(Path(local).name, local, os.open(local, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)))

    def _write(self, handle: bytes, rest: bytes) -> Reply:
        message = Message(rest)
        offset = message.get_int64()
        os.pwrite(self._handles[handle].descriptor, message.get_binary(), offset)
        return status(SFTP_OK, "Success")

    def _read(self, handle: bytes, rest: bytes) -> Reply:
        opened, (offset, wanted) = self._handles[handle], struct.unpack(">QI", rest)
        self._read_names.add(opened.name)
        time.sleep(self._quirks.seconds_per_read)
        if opened.name == self._quirks.endless:
            return CMD_DATA, packed(b"x" * min(wanted, self._quirks.block))
        self._grow(opened)
        length = min([wanted, self._quirks.block, *self._room(opened.name, offset)])
        block = os.pread(opened.descriptor, length, offset)
        if not block:
            self._removes("eof", opened.path)
            raise Refusal(SFTP_EOF, "End of file")
        if offset + len(block) >= os.fstat(opened.descriptor).st_size:
            self._removes("last", opened.path)
        if opened.name in self._quirks.surplus:
            block = block.ljust(wanted + self._quirks.surplus[opened.name], b"x")
        return CMD_DATA, packed(block)

    def _room(self, name: str, offset: int) -> list[int]:
        """Return the bytes up to the place where reading this file meets trouble."""
        troubles = [trouble for pattern, trouble in self._quirks.on.items() if fnmatchcase(f"read {name}", pattern)]
        return [trouble.behind - offset for trouble in troubles if trouble.behind > offset]

    def _grow(self, opened: Opened) -> None:
        """Let a writer add a line, if this file has one."""
        if self._server.spent[f"growth of {opened.name}"] < self._quirks.grows.get(opened.name, 0):
            self._server.spent[f"growth of {opened.name}"] += 1
            with Path(opened.path).open("ab") as file:
                file.write(GROWTH)
            self._server.grown[opened.name] = Path(opened.path).read_bytes()

    def _removes(self, moment: Moment, local: str) -> None:
        """Remove a file if it is given once and this is the moment."""
        for pattern, when in self._quirks.gives_once.items():
            if when == moment and fnmatchcase(Path(local).name, pattern):
                Path(local).unlink(missing_ok=True)

    def _close(self, handle: bytes, _rest: bytes) -> Reply:
        opened = self._handles.pop(handle)
        if opened.descriptor >= 0:
            os.close(opened.descriptor)
            self._removes("close", opened.path)
        return status(SFTP_OK, "Success")

    def _remove(self, path: bytes, _rest: bytes) -> Reply:
        if not self._quirks.keeps_removed:
            Path(self._path(path)).unlink()
        return status(SFTP_OK, "Success")

    def _announced(self, name: str) -> Reply:
        if name != LIMITS:
            raise Refusal(SFTP_OP_UNSUPPORTED, "Operation unsupported")
        return CMD_EXTENDED_REPLY, struct.pack(">4Q", *self._quirks.limits)


def packed(*strings: str | bytes) -> bytes:
    """Return strings as SFTP sends them, each behind its length."""
    content = [string.encode() if isinstance(string, str) else string for string in strings]
    return b"".join(struct.pack(">I", len(string)) + string for string in content)


def status(code: int, text: str) -> Reply:
    """Return a STATUS."""
    return CMD_STATUS, struct.pack(">I", code) + packed(text, "en")


def code_of(error: OSError) -> int:
    """Return what SFTP calls an error of the system."""
    codes = {errno.ENOENT: SFTP_NO_SUCH_FILE, errno.EACCES: SFTP_PERMISSION_DENIED, errno.EPERM: SFTP_PERMISSION_DENIED}
    return codes.get(error.errno or 0, SFTP_FAILURE)

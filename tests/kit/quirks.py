"""The quirks of the quirky server (quirky.py): what a server may say of files, what it may refuse, and all other options.

What a server says of a file is a function from ``Attributes`` to ``Attributes``. What it refuses, or breaks on, is a
line in ``Quirks.on``. Everything else is a field of ``Quirks``, which is read where the request is answered.
"""

import os
import stat
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from paramiko.sftp import SFTP_FAILURE, SFTP_OP_UNSUPPORTED, SFTP_PERMISSION_DENIED

ALWAYS = sys.maxsize


@dataclass(frozen=True)
class Attributes:
    """What the server says of a file; None is not said."""

    size: int | None
    mode: int | None
    mtime: int | None

    @classmethod
    def of(cls, found: os.stat_result) -> "Attributes":
        """Return the truth."""
        return cls(found.st_size, found.st_mode, int(found.st_mtime))

    def pack(self) -> bytes:
        """Return the attributes as version 3 sends them."""
        flags = (self.size is not None) | (self.mode is not None) << 2 | (self.mtime is not None) << 3
        parts = [struct.pack(">I", flags)]
        parts += [struct.pack(">Q", self.size)] if self.size is not None else []
        parts += [struct.pack(">I", self.mode)] if self.mode is not None else []
        parts += [struct.pack(">II", self.mtime, self.mtime)] if self.mtime is not None else []
        return b"".join(parts)


Change = Callable[[Attributes], Attributes]


def no_size(said: Attributes) -> Attributes:
    """Give no size."""
    return replace(said, size=None)


def size_0(said: Attributes) -> Attributes:
    """Give 0, as procfs does."""
    return replace(said, size=0)


def short(said: Attributes) -> Attributes:
    """Give 10 bytes too few."""
    return replace(said, size=max(0, (said.size or 0) - 10))


def long(said: Attributes) -> Attributes:
    """Give 10 bytes too many."""
    return replace(said, size=(said.size or 0) + 10)


def huge(said: Attributes) -> Attributes:
    """Give a size that no disk holds."""
    return replace(said, size=(1 << 64) - 1)


def no_time(said: Attributes) -> Attributes:
    """Give no time."""
    return replace(said, mtime=None)


def whole_minutes(said: Attributes) -> Attributes:
    """Give the time without its seconds."""
    return replace(said, mtime=(said.mtime or 0) // 60 * 60)


def hours_ahead(said: Attributes) -> Attributes:
    """Give the time of another zone, five hours ahead."""
    return replace(said, mtime=(said.mtime or 0) + 5 * 3600)


def hours_behind(said: Attributes) -> Attributes:
    """Give the time of another zone, five hours behind."""
    return replace(said, mtime=(said.mtime or 0) - 5 * 3600)


def no_kind(said: Attributes) -> Attributes:
    """Give the permissions without the kind of the file: 0644 instead of 0100644."""
    return replace(said, mode=stat.S_IMODE(said.mode or 0))


def no_permissions(said: Attributes) -> Attributes:
    """Give neither permissions nor kind."""
    return replace(said, mode=None)


def nothing(_said: Attributes) -> Attributes:
    """Give nothing at all."""
    return Attributes(None, None, None)


class Trouble(NamedTuple):
    """What a request meets instead of its answer."""

    how: Literal["refuse", "break", "silence"]
    code: int = SFTP_FAILURE  # of a refusal
    text: str = "Failure"  # of a refusal, in the server's words
    times: int = ALWAYS  # after so many the request is answered
    behind: int = 0  # bytes at the file's beginning that a READ gives nevertheless


BREAK = Trouble("break")  # the server closes the connection
BREAK_ONCE = Trouble("break", times=1)
SILENCE = Trouble("silence")  # the server does not answer this request, and goes on
DENIED = Trouble("refuse", SFTP_PERMISSION_DENIED, "Permission denied")
UNSUPPORTED = Trouble("refuse", SFTP_OP_UNSUPPORTED, "Operation unsupported")
FAILURE = Trouble("refuse")
LOCKED = Trouble("refuse", text="The process cannot access the file: sharing violation")


Moment = Literal["open", "last", "eof", "close"]  # "last" is the READ of the last byte


class Says(NamedTuple):
    """What the server says of a file: each change is applied to the truth, in order."""

    listed: tuple[Change, ...] = ()  # in the listing
    looked: tuple[Change, ...] = ()  # to LSTAT, STAT and FSTAT
    looked_after: tuple[Change, ...] = ()  # to the first of them behind a READ of that file


def everywhere(*changes: Change) -> Says:
    """Return that the server says the same in the listing and when it looks."""
    return Says(changes, changes)


@dataclass(frozen=True)
class Quirks:
    """How this server differs from OpenSSH's. Every field's default is OpenSSH's way."""

    says: Mapping[str, Says] = field(default_factory=dict)  # by pattern of names; the first that matches; others: the truth

    # The connection and the login.
    preamble: bytes = b""  # lines before the version of SSH
    kex: tuple[str, ...] = ()  # the only key exchanges that it offers
    ciphers: tuple[str, ...] = ()  # the only ciphers that it offers
    macs: tuple[str, ...] = ()  # the only MACs that it offers
    key_types: tuple[str, ...] = ()  # the only types of host key that it offers
    methods: str = "publickey"  # as AuthenticationMethods of sshd_config: "publickey,password none" is both, or none
    questions: tuple[str, ...] = ("Password: ",)  # of keyboard-interactive; a question for a password wants PASSWORD
    empty_question: bool = False  # keyboard-interactive asks once more, for nothing, as PAM does
    service_requests: int = ALWAYS  # that it takes; at the next it disconnects
    login_seconds: float = 0  # that it thinks about each login
    banner: str = ""  # shown at the login
    has_sftp: bool = True  # otherwise it refuses the subsystem

    # What it lists.
    names: tuple[bytes, ...] = ()  # entries in the listing with no file behind them
    endless_listing: bool = False  # behind the other names come new ones, for ever
    listings: int = 1  # how often it lists the folder before it says that this is the end

    # What it does to files.
    gives_once: Mapping[str, Moment] = field(default_factory=dict)  # by pattern of names: when it removes what it gave
    keeps_removed: bool = False  # REMOVE is answered with ok, and the file stays
    grows: Mapping[str, int] = field(default_factory=dict)  # files, and READs before each of which they get one line more
    endless: str = ""  # a file that gives bytes for ever

    # What it refuses: "read report_2.txt", "remove *", "extended *", "* report_2.txt". Requests are named in REQUESTS
    # of quirky_sftp.py; an OPEN to write is "create". An extension that is announced is not refused.
    on: Mapping[str, Trouble] = field(default_factory=dict)

    # How it answers.
    announces: tuple[str, ...] = ()  # names of extensions in its VERSION packet
    limits: tuple[int, int, int, int] = (1 << 18, (1 << 18) - 1024, (1 << 18) - 1024, 0)  # its answer if it announces LIMITS
    block: int = 1 << 18  # the most bytes that it gives to one READ
    surplus: Mapping[str, int] = field(default_factory=dict)  # by name: bytes that it gives to each READ beyond what is asked for
    seconds_per_read: float = 0
    backwards: bool = False  # requests that are on their way at once are answered last first
    most_requests: int = ALWAYS  # on their way at once; beyond it: `beyond`
    most_handles: int = ALWAYS  # open at once; beyond it: `beyond`
    beyond: Trouble = BREAK
    status_text: str = ""  # stands behind the words of every refusal


def changed(said: Attributes, changes: tuple[Change, ...]) -> Attributes:
    """Return what is said after all changes."""
    for change in changes:
        said = change(said)
    return said

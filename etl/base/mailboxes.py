"""The mailboxes that a setting names: ``Ana <ana@example.com>, ops@example.com``."""

import re
from email.errors import MessageError
from email.headerregistry import Address
from typing import NamedTuple

QUOTED = r'"(?:\\.|[^"\\])*"'
PIECE = re.compile(rf'(?:{QUOTED}|<[^<>]*>|[^,;"])+|[,;"]')  # a mailbox, or what stands between two
ADDRESS = re.compile(r"(?!')[^\s@<>,;:()\"\[\]\\]+@[^\s@<>,;:()\"\[\]\\]+")
NAMED = re.compile(rf"(?P<name>{QUOTED}|[^\"<>]*?)\s*<\s*(?P<address>[^<>\s]+)\s*>")
FORM = 'write ops@example.com, or "Lopez, Ana" <ana@example.com>; a comma between two, MAIL_FROM is one'


class Mailboxes(NamedTuple):
    """What a list of mailboxes holds, each in the form of a mail's header."""

    sound: list[str]
    unsound: list[int]  # places in the list, from 1: an address is not to be repeated in a message


def read_mailboxes(text: str) -> Mailboxes:
    """Return the mailboxes of a list with commas or semicolons; a name that holds one stands in double quotes."""
    pieces = [piece.strip() for piece in PIECE.findall(text)]
    found = Mailboxes([], [])
    for place, piece in enumerate((piece for piece in pieces if piece not in ("", ",", ";")), 1):
        mailbox = read_mailbox(piece)
        if mailbox:
            found.sound.append(mailbox)
        else:
            found.unsound.append(place)
    return found


def header_of(text: str, most: int | None) -> str:
    """Return a list of mailboxes as a mail's header has it; raise ValueError if one cannot be read, or if there are too many."""
    sound, unsound = read_mailboxes(text)
    if unsound:
        raise ValueError(f"address {unsound[0]} cannot be read; {FORM}")
    if sound[:most] != sound or not sound:
        raise ValueError(f"it holds {len(sound)} addresses; {FORM}")
    return ", ".join(sound)


def read_mailbox(text: str) -> str | None:
    """Return one mailbox as a mail's header has it, or None if it is none. A host may have a short name: ``root@localhost``."""
    named = NAMED.fullmatch(text)
    address = named["address"] if named else text
    if not ADDRESS.fullmatch(address):
        return None
    name = named["name"].strip() if named else ""
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    local, _, domain = address.partition("@")
    try:
        return str(Address(name, addr_spec=f"{local}@{domain.encode('idna').decode()}"))
    except (MessageError, ValueError):  # letters that no header takes, or labels that no domain has
        return None

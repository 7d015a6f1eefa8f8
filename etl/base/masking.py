"""Make text fit for logs and messages: without mailboxes, without control characters."""

import re

MAILBOX = re.compile(r'(?:"[^"]*"|([^\s@,;"<>]?)[^\s@,;"<>]*)@')
UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\U0010ffff]")


def mask(text: str) -> str:
    """Return the text with every mailbox cut to its first letter: ``a…@yahoo.com``; a quoted mailbox is cut to ``…``."""
    return MAILBOX.sub(r"\1…@", text) if "@" in text else text


def printable(text: str) -> str:
    """Return the text with control characters and lone surrogates written as Python escapes."""
    if text.isascii() and text.isprintable():
        return text
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)

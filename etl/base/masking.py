"""Words of others: what servers, files and people say, made fit for logs, terminals and messages."""

import re

LIMIT = 200  # characters of what somebody else says
# Possessive, and a match begins only where a mailbox may begin: each character is looked at once, however long the text is.
MAILBOX = re.compile(r'(?:"[^"]*+"|(?<![^\s@,;"<>])([^\s@,;"<>…]?)[^\s@,;"<>]*+)@')
NOT_PLAIN = re.compile(r"[^ -~]")


def clean(text: str, limit: int = LIMIT) -> str:
    """Return the words of others as one printable line of at most ``limit`` characters, with every mailbox masked."""
    return mask(printable(text[: 4 * limit]))[:limit]  # cut first, for whatever was said; and last, for what the escapes add


def mask(text: str) -> str:
    """Return the text with every mailbox cut to its first letter: ``a…@yahoo.com``; a quoted mailbox is cut to ``…``."""
    return MAILBOX.sub(r"\1…@", text) if "@" in text else text


def printable(text: str) -> str:
    """Return the text with Python's escapes for all that str.isprintable knows as unprintable.

    These are control characters, C1 and line ends among them, format characters such as those that turn the direction of
    writing, blanks that are no space, and lone surrogates.
    """
    if text.isprintable():
        return text
    return NOT_PLAIN.sub(lambda found: found[0] if found[0].isprintable() else escape(found[0]), text)


def escape(char: str) -> str:
    """Return a character as Python writes it in ASCII."""
    return char.encode("unicode_escape").decode()


def clean_lines(text: str) -> str:
    """Return a text of ours, which may hold words of others, with its lines printable and its mailboxes masked."""
    return "\n".join(mask(printable(line)) for line in text.split("\n"))

"""How many there are of a thing, as people say it."""


def count_of(number: int, noun: str) -> str:
    """Return ``1 file``, ``2 files`` or ``1,540 lines``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

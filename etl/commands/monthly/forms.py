"""Figures, days and durations of the monthly report in the form that people use."""

from datetime import date, datetime
from typing import NamedTuple

from base.masking import clean
from notices.language import Language

MINUTE, HOUR = 60, 3600
YEAR = 12  # months
UNITS = ("B", "kB", "MB", "GB", "TB")
UNKNOWN = "-"
FEW = 20  # of fewer than that, a change is told as a number and not as a share


class Month(NamedTuple):
    """A month of the calendar."""

    year: int
    number: int

    @classmethod
    def of(cls, day: date) -> "Month":
        """Return the month of a day."""
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Return the month ``yyyy-mm``, or raise ValueError."""
        return cls.of(datetime.strptime(text, "%Y-%m"))  # noqa: DTZ007 - a month has no zone

    @property
    def first(self) -> date:
        """The first day of the month; raises ValueError beyond the calendar."""
        return date(self.year, self.number, 1)

    def later(self, months: int) -> "Month":
        """Return the month that comes so many months later."""
        year, number = divmod(self.year * YEAR + self.number - 1 + months, YEAR)
        return Month(year, number + 1)

    def __str__(self) -> str:
        """Return the month as ``yyyy-mm``."""
        return f"{self.year:04}-{self.number:02}"


class Rate(float):
    """A share from 0 to 1."""

    def said(self, words: Language) -> str:
        """Return ``12.5 %`` for 0.125."""
        return f"{words.number(100 * self, 1)} %"


class Size(int):
    """A number of bytes."""

    def said(self, words: Language) -> str:
        """Return ``626 kB`` for 626,400, with three digits or more."""
        size, unit = float(self), 0
        while size >= 999.5 and unit < len(UNITS) - 1:
            size, unit = size / 1000, unit + 1
        return f"{words.number(size, 0 if size >= 99.95 or not unit else 1)} {UNITS[unit]}"


class Seconds(float):
    """How long something took."""

    def said(self, words: Language) -> str:
        """Return ``2.3 s``, ``32 s``, ``4 min 12 s`` or ``1 h 05 min``."""
        whole = round(self)
        if whole < MINUTE:
            return f"{words.number(self, 1 if self < 9.95 else 0)} s"
        if whole < HOUR:
            return f"{whole // MINUTE} min {whole % MINUTE:02} s"
        return f"{words.number(whole // HOUR)} h {whole % HOUR // MINUTE:02} min"


def share(part: int, whole: int) -> Rate | None:
    """Return the part divided by the whole; None if the whole is 0."""
    return Rate(part / whole) if whole else None


def change(now: float | None, before: float | None, words: Language) -> str:
    """Return ``+12.5 %`` or ``-2`` for two counts, ``+1.2 points`` for two rates, and nothing if that cannot be said."""
    if now is None or before is None:
        return ""
    if isinstance(now, Rate):
        return words("{change} points", change=signed(100 * (now - before), 1, words))
    return f"{signed(100 * (now / before - 1), 1, words)} %" if before >= FEW else signed(now - before, 0, words)


def signed(number: float, digits: int, words: Language) -> str:
    """Return a number with its sign, which is no minus before 0.0."""
    return f"{'-' if round(number, digits) < 0 else '+'}{words.number(abs(number), digits)}"


def month_name(day: date, words: Language) -> str:
    """Return ``November 2026`` for a day of it."""
    return words.day(day, "yMMMM")


def said(value: object, words: Language) -> str:
    """Return a value as people read it; the words of others are cut, printable and without a mailbox."""
    match value:
        case None:
            return UNKNOWN
        case Rate() | Size() | Seconds():
            return value.said(words)
        case Month():
            return words.day(value.first, "yMMM")
        case date():
            clock = f" {value:%H:%M}" if isinstance(value, datetime) else ""
            return words.day(value, "MMMd") + clock
        case int():
            return words.number(value)
    return clean(str(value))

"""Figures, days and durations of the monthly report in the form that people use."""

from datetime import date, datetime
from typing import NamedTuple

from base.masking import clean

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

    def __str__(self) -> str:
        """Return ``12.5 %`` for 0.125."""
        return f"{100 * self:.1f} %"


class Size(int):
    """A number of bytes."""

    def __str__(self) -> str:
        """Return ``626 kB`` for 626,400, with three digits or more."""
        size, unit = float(self), 0
        while size >= 999.5 and unit < len(UNITS) - 1:
            size, unit = size / 1000, unit + 1
        return f"{size:,.{0 if size >= 99.95 or not unit else 1}f} {UNITS[unit]}"


class Seconds(float):
    """How long something took."""

    def __str__(self) -> str:
        """Return ``2.3 s``, ``32 s``, ``4 min 12 s`` or ``1 h 05 min``."""
        whole = round(self)
        if whole < MINUTE:
            return f"{self:.1f} s" if self < 9.95 else f"{whole} s"
        if whole < HOUR:
            return f"{whole // MINUTE} min {whole % MINUTE:02} s"
        return f"{whole // HOUR:,} h {whole % HOUR // MINUTE:02} min"


def share(part: int, whole: int) -> Rate | None:
    """Return the part divided by the whole; None if the whole is 0."""
    return Rate(part / whole) if whole else None


def change(now: float | None, before: float | None) -> str:
    """Return ``+12.5 %`` or ``-2`` for two counts, ``+1.2 points`` for two rates, and nothing if that cannot be said."""
    if now is None or before is None:
        return ""
    if isinstance(now, Rate):
        return f"{round(100 * (now - before), 1) + 0:+.1f} points"  # + 0: no minus before 0.0
    return f"{100 * (now / before - 1):+.1f} %" if before >= FEW else f"{now - before:+,}"


def month_name(day: date) -> str:
    """Return ``November 2026`` for a day of it."""
    return f"{day:%B} {day.year}"


def said(value: object) -> str:
    """Return a value as people read it; the words of others are cut, printable and without a mailbox."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Month):
        return f"{value.first:%b} {value.year}"
    if isinstance(value, datetime):
        return f"{value:%-d %b %H:%M}"
    if isinstance(value, date):
        return f"{value:%-d %b}"
    return f"{value:,}" if type(value) is int else str(value)

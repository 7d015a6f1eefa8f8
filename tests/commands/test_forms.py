"""How the monthly report says figures, days and durations; the expected texts are written by hand."""

from datetime import date, datetime

import pytest

from commands.monthly.forms import Month, Rate, Seconds, Size, change, said
from notices.language import Language, read_language


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0, "0"), (1234567, "1,234,567"), (Rate(0.3824), "38.2 %"), (Rate(1), "100.0 %"),
        (Size(0), "0 B"), (Size(999), "999 B"), (Size(1000), "1.0 kB"), (Size(626_400), "626 kB"), (Size(999_600), "1.0 MB"),
        (Size(18_840_000), "18.8 MB"), (Size(5 * 10**15), "5,000 TB"),
        (Seconds(0), "0.0 s"), (Seconds(2.34), "2.3 s"), (Seconds(9.96), "10 s"), (Seconds(32.4), "32 s"),
        (Seconds(59.7), "1 min 00 s"), (Seconds(252), "4 min 12 s"),
        (Seconds(3599.6), "1 h 00 min"), (Seconds(3900), "1 h 05 min"),
        (date(2026, 11, 26), "26 Nov"), (datetime.fromisoformat("2026-11-06 00:02"), "6 Nov 00:02"),
        (Month(2026, 11), "Nov 2026"),
        ("of ana@example.com\n", "of a…@example.com\\n"),
    ],
)  # fmt: skip
def test_said(value: object, text: str) -> None:
    assert said(value, Language()) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (112, 100, "+12.0 %"), (50, 100, "-50.0 %"), (3, 5, "-2"), (3, 0, "+3"), (0, 0, "+0"),
        (Rate(0.382), Rate(0.37), "+1.2 points"), (Rate(0.37), Rate(0.3701), "+0.0 points"),
        (Rate(0.4), None, ""), (None, Rate(0.4), ""),
    ],
)  # fmt: skip
def test_change(now: float | None, before: float | None, text: str) -> None:
    assert change(now, before, Language()) == text


def test_in_spanish() -> None:
    """Numbers and days as in Mexico."""
    words, when = read_language("es"), datetime.fromisoformat("2026-01-06 00:02")
    values = (1234567, Rate(0.3824), Size(18_840_000), Seconds(3900), when, when.date(), Month(2026, 1))
    assert [said(value, words) for value in values] == [
        "1,234,567", "38.2 %", "18.8 MB", "1 h 05 min", "6 ene 00:02", "6 ene", "ene 2026",
    ]  # fmt: skip
    assert change(Rate(0.382), Rate(0.37), words) == "+1.2 puntos"


def test_a_month_counts_across_years() -> None:
    assert [str(Month(2013, 2).later(months)) for months in (-14, -2, -1, 0, 10, 11)] == [
        "2011-12", "2012-12", "2013-01", "2013-02", "2013-12", "2014-01",
    ]  # fmt: skip

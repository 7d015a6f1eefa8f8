"""What the monthly report says in sentences."""

from collections.abc import Iterator
from datetime import date

from commands.monthly.facts import Monthly
from commands.monthly.forms import Month, month_name, said
from notices.language import Language

MAILS = "In {month}, {sent} mails were sent, {delivered} of them were delivered, and {opened} of the delivered were opened"
NO_MAILS = "No mail was sent in {month}, as far as is known"
NIGHTS = "{good} of {nights} nights ended well"
NO_NIGHTS = "no night ran"
NOTHING = "Nothing is known of {month}: no mail, no report, no night"
NEWEST_MAILS = "The newest mails are of {month}: make report MONTH={number}"
NEWEST_NIGHT = "The newest night is of {month}: make report MONTH={number}"
NOT_OVER = "{month} is not over: the figures are those of today."
GOOD = "Nothing needs a person."


def headline(now: Monthly, words: Language) -> str:
    """Return the month in one sentence."""
    month = month_name(now.mails.day, words)
    if now.is_empty:
        return words(NOTHING, month=month) + "."
    delivered, opened, *_ = (said(rate, words) for rate in now.mails.rates)
    sentence = MAILS if now.mails.sent else NO_MAILS
    mails = words(sentence, month=month, sent=said(now.mails.sent, words), delivered=delivered, opened=opened)
    good = sum(night.status == "done" and night.is_night for night in now.nights)
    nights = words(NIGHTS if now.loading.nights else NO_NIGHTS, good=good, nights=now.loading.nights)
    return f"{mails}; {nights}."


def notes(now: Monthly, today: date, words: Language) -> Iterator[str]:
    """Yield what whoever reads the figures must know, above all where to look if there are none."""
    if now.month == Month.of(today):
        yield words(NOT_OVER, month=month_name(today, words))
    for there, newest, sentence in (
        (now.mails.sent, now.newest_mails, NEWEST_MAILS),
        (now.loading.nights, now.newest_night, NEWEST_NIGHT),
    ):
        if not there and newest:
            yield words(sentence, month=month_name(newest, words), number=Month.of(newest))


def praise(now: Monthly, words: Language) -> str:
    """Return what a month is told in which nothing needs a person; a month without a night deserves none."""
    return words(GOOD) if now.loading.nights else ""

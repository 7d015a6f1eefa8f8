"""The tables of the monthly report, the same on the page, on the terminal and as CSV."""

import re

from base.fate import Fate
from commands.monthly.facts import Mails, Monthly, Night, Reject, Report, Since
from commands.monthly.forms import Month, change, month_name, said
from commands.monthly.sheets import Part, Row, Sheet, figures
from notices.language import Language
from parsing.faults import Code

BEGIN_OF_FAULT = re.compile(rf"; (?=(?:{'|'.join(Code)}): )")  # within the message of a line


def parts_of(now: Monthly, words: Language) -> list[Part]:
    """Return the parts of the page, each with its tables."""
    return [
        Part("mailings", words("The mailings"), [campaigns(now, words), year(now, words)]),
        Part("loading", words("The loading"), [loading(now, words), rejects(now, words), reports(now, words)]),
        Part("nights", words("The nights"), [nights(now, words), gaps(now, words), backups(now, words), changes(now, words)]),
    ]


def headlines(now: Monthly, words: Language) -> Sheet:
    """Return the headline figures, compared with the month before."""
    (mails, loading), (mails_before, loading_before) = now.months[-1], now.months[-2]
    delivered, opened, clicked, _ = zip(mails.rates, mails_before.rates, strict=True)
    pairs: list[tuple[str, float | None, float | None]] = [
        (words("mails sent"), mails.sent, mails_before.sent),
        (words("delivered, of the sent"), *delivered),
        (words("opened, of the delivered"), *opened),
        (words("clicked, of the delivered"), *clicked),
        (words("lines rejected, of the read"), loading.reject_rate, loading_before.reject_rate),
        (words("nights that failed"), loading.nights_failed, loading_before.nights_failed),
    ]
    rows = [Row((name, value, before, change(value, before, words))) for name, value, before in pairs]
    return Sheet("figures", words("In short"), ["", *months_of(now, words), *figures(words("change"))], rows)


def months_of(now: Monthly, words: Language) -> list[str]:
    """Return the heads of the columns of this month and of the month before."""
    return figures(*(month_name(mails.day, words) for mails, _ in now.months[:-3:-1]))


def mails_columns(words: Language) -> list[str]:
    """Return the heads of the columns of ``mails_row``."""
    counts = words("sent"), words("delivered"), words("opened"), words("clicked"), words("unsubscribed")
    rates = words("delivery rate"), words("open rate"), words("click rate"), words("unsubscribe rate")
    return figures(*counts, *rates)  # the first rate is of the sent, the last three are of the delivered


def mails_row(mails: Mails) -> tuple[object, ...]:
    """Return the figures of some mails."""
    return mails.sent, *mails[3:], *mails.rates


def campaigns(now: Monthly, words: Language) -> Sheet:
    """Return the mails of each day of sending."""
    rows = [Row((mails.day, *mails_row(mails))) for mails in now.campaigns]
    empty = words("No mail was sent in this month, as far as is known.")
    return Sheet("campaigns", words("By day of sending"), [words("day"), *mails_columns(words)], rows, empty)


def year(now: Monthly, words: Language) -> Sheet:
    """Return the mails of twelve months, the newest first."""
    rows = [Row((Month.of(mails.day), *mails_row(mails))) for mails, _ in reversed(now.months)]
    return Sheet("year", words("The last twelve months"), [words("month"), *mails_columns(words)], rows)


def loading(now: Monthly, words: Language) -> Sheet:
    """Return what the reports of the month brought, compared with the month before."""
    names = {
        "files": words("reports that came"),
        "loaded": words("reports loaded"),
        "duplicate": words("reports with the bytes of a loaded one"),
        "refused": words("reports refused"),
        "quarantined": words("reports quarantined"),
        "undone": words("reports undone"),
        "rows_read": words("lines read"),
        "rows_loaded": words("lines loaded"),
        "rows_rejected": words("lines rejected"),
        "reject_rate": words("lines rejected, of the read"),
        "visitors_new": words("visitors new"),
        "visitors_updated": words("visitors updated"),
    }
    months = [loading for _, loading in now.months[:-3:-1]]
    rows = [Row((name, *(getattr(month, count) for month in months))) for count, name in names.items()]
    return Sheet("loading", words("Reports, lines and visitors"), ["", *months_of(now, words)], rows)


def rejects(now: Monthly, words: Language) -> Sheet:
    """Return the reject codes, each with an example."""
    rows = [
        Row(
            (
                reject.code,
                reject.lines,
                reject.before,
                words.quote(Code(reject.code).meaning),
                example(reject),
                place(reject, words),
            )
        )
        for reject in now.rejects
    ]
    columns = [words("code"), *months_of(now, words), words("meaning"), words("example"), words("where")]
    return Sheet("rejects", words("Rejected lines by code"), columns, rows, words("No line was rejected."))


def example(reject: Reject) -> str:
    """Return what is wrong in the example: its field and its text. The code and its meaning stand beside."""
    faults = BEGIN_OF_FAULT.split(reject.message or "")
    fault = next((fault for fault in faults if fault.startswith(f"{reject.code}: ")), "")
    return ": ".join(part for part in fault.split(": ") if part not in (reject.code, Code(reject.code).meaning))


def place(reject: Reject, words: Language) -> str:
    """Return where the example stands."""
    return words("{name}, line {number}", name=reject.name, number=reject.line_number) if reject.line_number else ""


def reports(now: Monthly, words: Language) -> Sheet:
    """Return the reports that were not loaded, came under a known name, or were changed; and what became of them since."""
    rows = [
        Row(
            (
                report.day,
                report.name,
                report.rows_read,
                status(report, words),
                why(report, words),
                since(report, now.since, words),
            ),
            report.fate in (Fate.REFUSED, Fate.QUARANTINED) and not report.counts_later,
        )
        for report in now.reports
    ]
    columns = [words("came"), words("report"), *figures(words("lines")), words("status"), words("why"), words("since")]
    return Sheet(
        "reports",
        words("Reports that were not loaded, came under a known name, or were changed"),
        columns,
        rows,
        words("Every report was loaded, and under a new name."),
        words("Reports that are not loaded"),
        1,
    )


def status(report: Report, words: Language) -> str:
    """Return the fate of a delivery, and what it is by now."""
    came, fate = words(report.status), words(report.fate)
    return came if came == fate else words("{came}, now {fate}", came=came, fate=fate)


def why(report: Report, words: Language) -> str:
    """Return why a report stands in the table."""
    if report.status == Fate.DUPLICATE:
        same = words("same bytes as {name}", name=report.same_as)
        return same if report.same_as else words("same bytes as a report that is undone since")
    reused = words("name known with another content") if report.name_reused else ""
    return words.quote(report.message) if report.message else reused


def since(report: Report, changes: dict[int, list[Since]], words: Language) -> str:
    """Return what became of a report since it came."""
    found = [
        words("{what} on {day}", what=what, day=said(day, words)) + f", {words.count('{n} line', '{n} lines', lines)}"
        for what, day, lines in changes.get(report.file_id, [])
    ]
    if report.counts_later:
        found.append(words("the same bytes came again and count there"))
    return "; ".join(found)


def nights(now: Monthly, words: Language) -> Sheet:
    """Return the nights one by one, and the days without a night."""
    found = [(day, Row((day, words("no night in the load log"), *[None] * 4), needs=True)) for day in now.silent]
    found += [(night.began.date(), Row((night.began, ending(night, words), *night[4:]), night.is_bad)) for night in now.nights]
    found.sort(key=lambda each: each[0])  # the runs of a day stay in their order
    counts = figures(words("took"), words("reports"), words("lines"), words("rejected"))
    columns = [words("began"), words("how it ended"), *counts]
    need = words("Nights that failed, or did not run")
    return Sheet("nights", words("One by one"), columns, [row for _, row in found], words("No night ran."), need)


def ending(night: Night, words: Language) -> str:
    """Return how a night ended."""
    how = words(night.status)
    if night.exit_status:
        how = words("{how}, status {status}", how=how, status=night.exit_status)
    return how if night.is_night else words("{script} by hand: {how}", script=night.script, how=how)


def gaps(now: Monthly, words: Language) -> Sheet:
    """Return the gaps in the consecutive numbers."""
    yes, no = words("yes"), words("no")
    to = f" {words('to')} "  # in the name of a range
    rows = [Row((gap.name.replace(" to ", to), gap.day, yes if gap.came_later else no), not gap.came_later) for gap in now.gaps]
    columns = [words("missing"), words("noticed"), words("came later")]
    empty, need = words("No number is missing."), words("Reports that never came")
    return Sheet("gaps", words("Gaps in the consecutive numbers"), columns, rows, empty, need)


def backups(now: Monthly, words: Language) -> Sheet:
    """Return the backup zips."""
    rows = [Row((*backup[:4], words(backup.state) if backup.state else ""), backup.state == "missing") for backup in now.backups]
    columns = [words("day"), words("zip"), *figures(words("reports"), words("size")), words("state")]
    empty, need = words("No zip was made."), words("Backups that are not in BACKUP_DIR")
    return Sheet("backups", words("Backups"), columns, rows, empty, need, 1)


def changes(now: Monthly, words: Language) -> Sheet:
    """Return what people changed."""
    on = f" {words('on')} "
    rows = [Row((*made[:4], made.person.replace("@", on))) for made in now.changes]  # no mailbox: those are masked
    columns = [words("when"), words("what"), words("report"), *figures(words("lines")), words("by")]
    return Sheet("changes", words("Changes that people made"), columns, rows, words("Nobody changed anything."))

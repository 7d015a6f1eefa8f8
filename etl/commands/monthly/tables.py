"""The tables of the monthly report, the same on the page, on the terminal and as CSV."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from base.counting import count_of
from base.fate import Fate
from commands.monthly.facts import Mails, Monthly, Night, Reject, Report, Since
from commands.monthly.forms import Month, change, month_name, said
from parsing.faults import Code

BEGIN_OF_FAULT = re.compile(rf"; (?=(?:{'|'.join(Code)}): )")  # within the message of a line
LINKS = 8  # rows that a warning names; it counts the others


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[object, ...]
    needs: bool = False  # whether the row needs a person


class Sheet(NamedTuple):
    """One table of the monthly report."""

    name: str
    title: str
    columns: list[str]  # a column whose name begins with > holds figures
    rows: list[Row]
    empty: str = ""  # the text in place of a table without rows
    need: str = ""  # what the rows that need a person have in common
    label: int = 0  # the column that names a row

    def anchor(self, number: int) -> str:
        """Return the id of a row on the page."""
        return f"{self.name}-{number}"


class Part(NamedTuple):
    """One part of the monthly report."""

    name: str
    title: str
    sheets: list[Sheet]


class Need(NamedTuple):
    """What needs a person, and the rows that say more."""

    text: str
    links: list[tuple[str, str]]  # (label, id of the row)

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.text}: {', '.join(label for label, _ in self.links)}"


def parts_of(now: Monthly) -> list[Part]:
    """Return the parts of the page, each with its tables."""
    return [
        Part("mailings", "The mailings", [campaigns(now), year(now)]),
        Part("loading", "The loading", [loading(now), rejects(now), reports(now)]),
        Part("nights", "The nights", [nights(now), gaps(now), backups(now), changes(now)]),
    ]


def needs_of(sheets: Iterable[Sheet]) -> Iterator[Need]:
    """Yield what needs a person, table by table."""
    for sheet in sheets:
        found = [(said(row.cells[sheet.label]), sheet.anchor(number)) for number, row in enumerate(sheet.rows) if row.needs]
        count = len(found)
        if count > LINKS:
            found[LINKS - 1 :] = [(f"{count - LINKS + 1} more", found[LINKS - 1][1])]
        if found:
            yield Need(f"{sheet.need} ({count})", found)


def headlines(now: Monthly) -> Sheet:
    """Return the headline figures, compared with the month before."""
    (mails, loading), (mails_before, loading_before) = now.months[-1], now.months[-2]
    delivered, opened, clicked, _ = zip(mails.rates, mails_before.rates, strict=True)
    pairs: list[tuple[str, float | None, float | None]] = [
        ("mails sent", mails.sent, mails_before.sent),
        ("delivered, of the sent", *delivered),
        ("opened, of the delivered", *opened),
        ("clicked, of the delivered", *clicked),
        ("lines rejected, of the read", loading.reject_rate, loading_before.reject_rate),
        ("nights that failed", loading.nights_failed, loading_before.nights_failed),
    ]
    rows = [Row((name, value, before, change(value, before))) for name, value, before in pairs]
    return Sheet("figures", "In short", ["", *months_of(now), ">change"], rows)


def months_of(now: Monthly) -> list[str]:
    """Return the heads of the columns of this month and of the month before."""
    return [f">{month_name(mails.day)}" for mails, _ in now.months[:-3:-1]]


MAILS = [">sent", ">delivered", ">opened", ">clicked", ">unsubscribed"]
MAILS += [">delivery rate", ">open rate", ">click rate", ">unsubscribe rate"]  # the last three: of the delivered


def mails_row(mails: Mails) -> tuple[object, ...]:
    """Return the figures of some mails, in the order of MAILS."""
    return mails.sent, *mails[3:], *mails.rates


def campaigns(now: Monthly) -> Sheet:
    """Return the mails of each day of sending."""
    rows = [Row((mails.day, *mails_row(mails))) for mails in now.campaigns]
    return Sheet("campaigns", "By day of sending", ["day", *MAILS], rows, "No mail was sent in this month, as far as is known.")


def year(now: Monthly) -> Sheet:
    """Return the mails of twelve months, the newest first."""
    rows = [Row((Month.of(mails.day), *mails_row(mails))) for mails, _ in reversed(now.months)]
    return Sheet("year", "The last twelve months", ["month", *MAILS], rows)


def loading(now: Monthly) -> Sheet:
    """Return what the reports of the month brought, compared with the month before."""
    names = {
        "files": "reports that came",
        "loaded": "reports loaded",
        "duplicate": "reports with the bytes of a loaded one",
        "refused": "reports refused",
        "quarantined": "reports quarantined",
        "undone": "reports undone",
        "rows_read": "lines read",
        "rows_loaded": "lines loaded",
        "rows_rejected": "lines rejected",
        "reject_rate": "lines rejected, of the read",
        "visitors_new": "visitors new",
        "visitors_updated": "visitors updated",
    }
    months = [loading for _, loading in now.months[:-3:-1]]
    rows = [Row((words, *(getattr(month, name) for month in months))) for name, words in names.items()]
    return Sheet("loading", "Reports, lines and visitors", ["", *months_of(now)], rows)


def rejects(now: Monthly) -> Sheet:
    """Return the reject codes, each with an example."""
    rows = [
        Row((reject.code, reject.lines, reject.before, Code(reject.code).meaning, example(reject), place(reject)))
        for reject in now.rejects
    ]
    columns = ["code", *months_of(now), "meaning", "example", "where"]
    return Sheet("rejects", "Rejected lines by code", columns, rows, "No line was rejected.")


def example(reject: Reject) -> str:
    """Return what is wrong in the example: its field and its text. The code and its meaning stand beside."""
    faults = BEGIN_OF_FAULT.split(reject.message or "")
    fault = next((fault for fault in faults if fault.startswith(f"{reject.code}: ")), "")
    return ": ".join(part for part in fault.split(": ") if part not in (reject.code, Code(reject.code).meaning))


def place(reject: Reject) -> str:
    """Return where the example stands."""
    return f"{reject.name}, line {reject.line_number}" if reject.line_number else ""


def reports(now: Monthly) -> Sheet:
    """Return the reports that were not loaded, came under a known name, or were changed; and what became of them since."""
    rows = [
        Row(
            (report.day, report.name, report.rows_read, status(report), why(report), since(report, now.since)),
            report.fate in (Fate.REFUSED, Fate.QUARANTINED) and not report.counts_later,
        )
        for report in now.reports
    ]
    columns = ["came", "report", ">lines", "status", "why", "since"]
    return Sheet(
        "reports",
        "Reports that were not loaded, came under a known name, or were changed",
        columns,
        rows,
        "Every report was loaded, and under a new name.",
        "Reports that are not loaded",
        1,
    )


def status(report: Report) -> str:
    """Return the fate of a delivery, and what it is by now."""
    return report.status if report.fate == report.status else f"{report.status}, now {report.fate}"


def why(report: Report) -> str:
    """Return why a report stands in the table."""
    if report.status == Fate.DUPLICATE:
        return f"same bytes as {report.same_as}" if report.same_as else "same bytes as a report that is undone since"
    return report.message or ("name known with another content" if report.name_reused else "")


def since(report: Report, changes: dict[int, list[Since]]) -> str:
    """Return what became of a report since it came."""
    found = [f"{what} on {said(day)}, {count_of(lines, 'line')}" for what, day, lines in changes.get(report.file_id, [])]
    if report.counts_later:
        found.append("the same bytes came again and count there")
    return "; ".join(found)


def nights(now: Monthly) -> Sheet:
    """Return the nights one by one, and the days without a night."""
    rows = [Row((night.began, ending(night), *night[4:]), night.is_bad) for night in now.nights]
    rows += [Row((day, "no night in the load log", *[None] * 4), needs=True) for day in now.silent]
    rows.sort(key=lambda row: str(row.cells[0]))  # ISO dates; the beginning of a day comes first
    columns = ["began", "how it ended", ">took", ">reports", ">lines", ">rejected"]
    return Sheet("nights", "One by one", columns, rows, "No night ran.", "Nights that failed, or did not run")


def ending(night: Night) -> str:
    """Return how a night ended."""
    how = f"{night.status}, status {night.exit_status}" if night.exit_status else night.status
    return how if night.is_night else f"{night.script} by hand: {how}"


def gaps(now: Monthly) -> Sheet:
    """Return the gaps in the consecutive numbers."""
    rows = [Row((gap.name, gap.day, "yes" if gap.came_later else "no"), not gap.came_later) for gap in now.gaps]
    columns = ["missing", "noticed", "came later"]
    return Sheet("gaps", "Gaps in the consecutive numbers", columns, rows, "No number is missing.", "Reports that never came")


def backups(now: Monthly) -> Sheet:
    """Return the backup zips."""
    rows = [Row((*backup[:4], backup.state), backup.state == "missing") for backup in now.backups]
    columns = ["day", "zip", ">reports", ">size", "state"]
    return Sheet("backups", "Backups", columns, rows, "No zip was made.", "Backups that are not in BACKUP_DIR", 1)


def changes(now: Monthly) -> Sheet:
    """Return what people changed."""
    rows = [Row((*made[:4], made.person.replace("@", " on "))) for made in now.changes]  # no mailbox: those are masked
    columns = ["when", "what", "report", ">lines", "by"]
    return Sheet("changes", "Changes that people made", columns, rows, "Nobody changed anything.")

"""The digest of a run, written for each channel."""

from typing import Any

from base.masking import clean, clean_lines
from base.settings import Settings
from notices.channels import Notice
from notices.digest import COUNTS, FATES, Digest
from notices.language import Language
from notices.rendering import TEMPLATES

SUBJECT_LIMIT = 150  # characters
SLACK_LIMIT = 3000  # characters of a text block; Slack refuses longer blocks
LISTED = 20  # errors, warnings, and changes, that a notice shows
MESSAGE_LIMIT = 500  # bytes of each: so no notice is larger than 256 KiB, whatever was said


def render(digest: Digest, heading: str, words: Language, settings: Settings) -> Notice:
    """Return the notice about a run; every mailbox in the notice is masked."""
    headline = digest.headline(words)
    facts: dict[str, Any] = {
        "digest": digest,
        "words": words,
        "heading": heading,
        "headline": cut(headline),
        "errors": shorten(digest.errors, words),
        "warnings": shorten(digest.warnings, words),
        "figures": figures(digest, words),
        "stages": stages(digest, words),
        "log_dir": settings.log_dir,
    }
    subject = clean(f"[visitas] {heading}: {headline}", SUBJECT_LIMIT)
    text = clean_lines(TEMPLATES.get_template("notice.txt").render(facts))
    html = clean_lines(TEMPLATES.get_template("notice.html").render(facts))
    slack_text = clean_lines(TEMPLATES.get_template("notice.slack").render(facts))
    return Notice(subject, text, html, slack_text[:SLACK_LIMIT])


def shorten(messages: list[str], words: Language) -> list[str]:
    """Return the first LISTED messages in the language, each of them cut, and a last one that counts the others."""
    more = len(messages) - LISTED
    shown = [cut(words.quote(message)) for message in messages[:LISTED]]
    return shown if more <= 0 else [*shown, words("and {more} more; the logs have them all", more=more)]


def cut(message: str) -> str:
    """Return a message, clean, as far as MESSAGE_LIMIT allows. Bytes are counted: a mail writes some letters with twelve."""
    return clean(message, MESSAGE_LIMIT).encode()[:MESSAGE_LIMIT].decode(errors="ignore")


def stages(digest: Digest, words: Language) -> list[tuple[str, str, str]]:
    """Return the run's scripts as (name, how it ended, how long it took)."""
    killed, endless = words("killed"), words("no end")
    return [
        (
            end.stage,
            killed if end.status is None else words("status {status}", status=end.status),
            endless if end.seconds is None else f"{words.number(end.seconds, 1)} s",
        )
        for end in digest.journal.ended
    ]


def figures(digest: Digest, words: Language) -> list[tuple[str, str]]:
    """Return the run's figures as (name, words): each sum, then its parts. Unknown figures are left out."""
    facts, result = digest.journal.facts, digest.result
    found = []
    if "seen" in facts:
        found.append((words("Files on the server"), f"{words.number(facts['seen'])} = {seen(facts, words)}"))
    if result is not None:
        fates = ", ".join(result.said(fate, words) for fate in FATES)
        found.append((words("Files decided on"), f"{words.number(len(result.files))} = {fates}"))
        counts = {name: words.number(result.total(name)) for name in COUNTS}
        found.append((words("Lines read"), words("{rows_read} = {rows_loaded} loaded + {rows_rejected} rejected", **counts)))
        found.append((words("Visitors"), words("{visitors_new} new, {visitors_updated} updated", **counts)))
        if result.changes:
            changes = shorten([change.said(words) for change in result.changes], words)
            found.append((words("Changed by people"), "; ".join(changes)))
    if "zip" in facts:
        size = words("{bytes} bytes", bytes=words.number(facts["zip_bytes"]))
        found.append((words("Zip"), f"{facts['zip']}, {files(facts['zip_files'], words)}, {size}"))
    if "cleared" in facts:
        found.append((words("Done with and cleared away"), files(facts["cleared"], words)))
    if digest.waiting is not None:
        found.append((words("Left in the work directory"), files(digest.waiting, words)))
    return found


def seen(facts: dict[str, Any], words: Language) -> str:
    """Return in words what became of the files on the server."""
    kinds = {
        "pulled": words("pulled"),
        "here": words("pulled before"),
        "left": words("left for the next run"),
        "done_with": words("loaded before, kept on the server"),
        "names_refused": words("refused by name"),
    }
    return " + ".join(f"{words.number(facts[name])} {kind}" for name, kind in kinds.items() if facts[name] or name == "pulled")


def files(number: int, words: Language) -> str:
    """Return how many files there are."""
    return words.count("{n} file", "{n} files", number)

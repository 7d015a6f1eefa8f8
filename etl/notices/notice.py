"""The digest of a run, written for each channel."""

from typing import Any

from base.masking import clean, clean_lines
from base.settings import Settings
from notices.channels import Notice
from notices.digest import Digest
from notices.rendering import TEMPLATES

SUBJECT_LIMIT = 150  # characters
SLACK_LIMIT = 3000  # characters of a text block; Slack refuses longer blocks
SEEN = {  # facts about the files on the server, in words
    "pulled": "pulled",
    "here": "pulled before",
    "left": "left for the next run",
    "done_with": "loaded before, kept on the server",
    "names_refused": "refused by name",
}
LISTED = 20  # errors, warnings, and changes, that a notice shows
MESSAGE_LIMIT = 500  # bytes of each: so no notice is larger than 256 KiB, whatever was said


def render(digest: Digest, heading: str, settings: Settings) -> Notice:
    """Return the notice about a run; every mailbox in the notice is masked."""
    facts: dict[str, Any] = {
        "digest": digest,
        "heading": heading,
        "headline": cut(digest.headline),
        "errors": shorten(digest.errors),
        "warnings": shorten(digest.warnings),
        "figures": figures(digest),
        "log_dir": settings.log_dir,
    }
    subject = clean(f"[visitas] {heading}: {digest.headline}", SUBJECT_LIMIT)
    text = clean_lines(TEMPLATES.get_template("notice.txt").render(facts))
    html = clean_lines(TEMPLATES.get_template("notice.html").render(facts))
    slack_text = clean_lines(TEMPLATES.get_template("notice.slack").render(facts))
    return Notice(subject, text, html, slack_text[:SLACK_LIMIT])


def shorten(messages: list[str]) -> list[str]:
    """Return the first LISTED messages, each of them cut, and a last one that counts the others."""
    more = len(messages) - LISTED
    shown = [cut(message) for message in messages[:LISTED]]
    return shown if more <= 0 else [*shown, f"and {more} more; the logs have them all"]


def cut(message: str) -> str:
    """Return a message, clean, as far as MESSAGE_LIMIT allows. Bytes are counted: a mail writes some letters with twelve."""
    return clean(message, MESSAGE_LIMIT).encode()[:MESSAGE_LIMIT].decode(errors="ignore")


def figures(digest: Digest) -> list[tuple[str, str]]:
    """Return the run's figures as (name, words): each sum, then its parts. Unknown figures are left out."""
    facts, result = digest.journal.facts, digest.result
    found = []
    if "seen" in facts:
        kinds = [f"{facts[name]:,} {words}" for name, words in SEEN.items() if facts[name] or name == "pulled"]
        found.append(("Files on the server", f"{facts['seen']:,} = {' + '.join(kinds)}"))
    if result is not None:
        by_status = ", ".join(f"{count:,} {status}" for status, count in digest.files_by_status.items() if status != "deferred")
        found.append(("Files decided on", f"{len(result.files):,} = {by_status}"))
        lines = f"{result.total('rows_loaded'):,} loaded + {result.total('rows_rejected'):,} rejected"
        found.append(("Lines read", f"{result.total('rows_read'):,} = {lines}"))
        found.append(("Visitors", f"{result.total('visitors_new'):,} new, {result.total('visitors_updated'):,} updated"))
        if result.changes:
            found.append(("Changed by people", "; ".join(shorten([str(change) for change in result.changes]))))
    if "zip" in facts:
        found.append(("Zip", f"{facts['zip']}, {facts['zip_files']:,} files, {facts['zip_bytes']:,} bytes"))
    if "cleared" in facts:
        found.append(("Done with and cleared away", f"{facts['cleared']:,} files"))
    if digest.waiting is not None:
        found.append(("Left in the work directory", f"{digest.waiting:,} files"))
    return found

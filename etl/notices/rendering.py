"""The template engine: it turns the files in notices/templates into texts and pages."""

from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def slack(text: str) -> Markup:
    """Return the text in a form that Slack does not take for markup."""
    return Markup(escape(text, quote=False))  # noqa: S704 - escaped just before


TEMPLATES.filters.update(slack=slack)

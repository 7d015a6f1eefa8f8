"""What the program says to people, read from its source; run as a script, it enters this in the catalogues.

A message of the notices and the pages is a text in ``words("...")`` or ``words.count("...", "...", n)``. A sentence of the log is
a text that a StageError, or another exception in words for people, is made of, or a warning of a logger. Its values are places:
``{0} is refused: {1}.``
"""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

ETL = Path(__file__).parent.parent.parent / "etl"
LOCALE = ETL / "notices" / "locale"
TEMPLATES = ETL / "notices" / "templates"
LOG = "log"
SAYING = {"Unreached", "Left", "Changed", "Refusal", "Broken", "NotSFTP", "NoLogin", "Unreachable", "refused", "bad_zip"}
SAYING |= {"StageError", "trouble", "warning", "error"}  # the last two: of a logger
WHOLE = {"MEANINGS", "REFUSALS", "NOT_ALLOWED", "errors", "warnings", "_volume_warnings", "_silence_warnings"}
WHOLE |= {"content_flaws", "member_flaws", "flaws", "words_of"}  # definitions in which every text is said
# What the rules below do not find: sentences that are put together from parts, and values that are words.
PARTS = ("{0} is a link.", "{0} is not a folder.", "{0} belongs to another user (id {1}).", "{0} can be changed by {1}.")
PARTS += ("{0} can be exchanged by everybody who may write to {1}.", "everybody", "its group", "remove it")
PARTS += ("chown {0}, or run this as user {1}", "{0} files ({1})", "{0} and {1} more")
PARTS += ("{0} line", "{0} lines", "{0} hours", "{0} problem", "{0} problems", "e-mail", "dead-man's switch")
# What the load log has as codes, and the page as words.
CODES = ("loaded", "duplicate", "refused", "quarantined", "undone", "running", "done", "failed", "crashed", "missing", "pruned")
SPEAKING = {"notify.py", "report.py", "try_channels.py"}  # scripts and commands that speak to people
# Names of scripts, changes and columns; and may is a month in Spanish, too.
NAMES = {"extract", "transform", "load", "archive", "etl", "undo", "reload", "replay", "forget", "replace", "prune"}
NAMES |= {"opens", "clicks", "links", "may"}
WORD = re.compile(r"[^\W\d_]+")
PLACE = re.compile(r"\{\w+\}")
TWO = re.compile(r"[a-z,] ")  # what a text of several words has
VALUES = re.compile(r"%[sd]|%\.\d[fd]|\{\}")


def texts(node: ast.AST, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield the texts that an expression may be, with {} for each value; a variable may be all that it is set to."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from texts(one, known)
            yield from texts(other, known)
        case ast.Name(id=name):
            for value in known.get(name, []):
                yield from texts(value, {})


def assignments(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """Return what each variable of a module is set to."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for target, value in zip(names, values, strict=False):
                    found.setdefault(getattr(target, "id", ""), []).append(value)
    return found


def name_of(node: ast.expr) -> str:
    """Return the last part of the name of what is called."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def is_said(called: ast.expr, first: ast.expr) -> bool:
    """Return whether a call makes an exception in words for people, or a warning."""
    return name_of(called) in SAYING or "Status." in ast.unparse(first)


def messages(tree: ast.AST) -> Iterator[str | tuple[str, str]]:
    """Yield what a module says in the language of the notices."""
    known = assignments(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="words" | "self"), args=[text]):
                yield from texts(text, known)
            case ast.Call(func=ast.Attribute(attr="count"), args=[one, many, _]):
                yield from zip(texts(one, known), texts(many, known), strict=True)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):  # a sentence for a later call
                yield from [text] if name.isupper() and TWO.search(text) else []


def sentences(tree: ast.AST) -> Iterator[str]:
    """Yield what a module says in the log, to be quoted by the notices: facts and hints, one by one."""
    known = assignments(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=called, args=[first, *_] as args) if is_said(called, first):
                values = [part.value for text in args for part in ast.walk(text) if isinstance(part, ast.FormattedValue)]
                for said in [*args, *(value for value in values if isinstance(value, ast.Name))]:
                    yield from texts(said, known)
            case ast.FunctionDef(name=name, body=[_, *body]) if name in WHOLE:
                yield from whole(body)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if name in WHOLE:
                yield from whole([node])


def whole(body: list[ast.stmt]) -> Iterator[str]:
    """Yield every text in some statements."""
    parts = {id(part) for node in body for text in ast.walk(node) if isinstance(text, ast.JoinedStr) for part in ast.walk(text)}
    for node in body:
        for text in ast.walk(node):
            if isinstance(text, ast.JoinedStr) or id(text) not in parts:
                yield from texts(text, {})


def templates_of(sentence: str) -> Iterator[str]:
    """Yield the fact and the hint of a sentence with numbered places, unless they are hardly more than values."""
    for part in sentence.split(" Hint: "):
        numbers = iter(range(9))
        text = VALUES.sub(lambda _, numbers=numbers: f"{{{next(numbers)}}}", part)  # type: ignore[misc]
        if len(re.findall(r"[a-z]{2,}", VALUES.sub("", part))) > 1 and " " in text.strip():
            yield text


def read(path: Path) -> Catalog:
    """Return a catalogue."""
    with path.open("rb") as file:
        return read_po(file, path.parent.parent.name)


def renew(path: Path) -> None:
    """Enter what is new in a catalogue, untranslated, and take out what nobody says any more. Its header stays."""
    catalogue, header = read(path), path.read_text().partition("\n\n")[0]
    catalogue.update(extract(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    body = io.BytesIO()
    write_po(body, catalogue, width=120, omit_header=True, include_lineno=False)
    path.write_text(f"{header}\n\n{body.getvalue().decode()}")


def extract() -> Catalog:
    """Return everything that the program says to people."""
    found = Catalog(fuzzy=False)
    for path in sorted(ETL.rglob("*.py")):
        tree, place = ast.parse(path.read_text()), str(path.relative_to(ETL))
        for message in messages(tree) if "notices" in path.parts or "monthly" in path.parts or path.name in SPEAKING else ():
            found.add(message, locations=[(place, None)])
        if "commands" not in path.parts and path.name != "__main__.py":
            for sentence in sentences(tree):
                for text in templates_of(sentence):
                    found.add(text, context=LOG, locations=[(place, None)])
    for text in CODES:
        found.add(text)
    for text in PARTS:
        found.add(text, context=LOG)
    for path in sorted(TEMPLATES.iterdir()):
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ("words",), (), {"trim_blocks": "true", "encoding": "utf-8"}):
                text = message if isinstance(message, str) else message[0]  # the others are values
                found.add(text, locations=[(f"notices/templates/{path.name}", None)])
    return found


def english_in(text: str) -> set[str]:
    """Return the words in a text for people, or in a page, that only English messages have.

    What stands in quotes, in tags, in styles and behind ``make`` does not count, nor do Slack's pictures (``:warning:``) and
    names of scripts, files and settings.
    """
    text = re.sub(r"<style>.*?</style>|<[^>]+>|[“\"][^”\"]*[”\"]|make [a-z-]+|:[a-z_]+:", " ", text, flags=re.DOTALL)
    said = set(re.findall(r"(?<![\w./@=-])[^\W\d_]+(?![\w/@=-]|\.\w)", text))
    english = {word for entry in extract() for word in WORD.findall(str(entry.id))}
    others = {
        word for path in LOCALE.glob("*/LC_MESSAGES/*.po") for entry in read(path) for word in WORD.findall(str(entry.string))
    }
    return (said & english) - others - NAMES


if __name__ == "__main__":
    for catalogue in sorted(LOCALE.glob("*/LC_MESSAGES/visitas.po")):
        renew(catalogue)

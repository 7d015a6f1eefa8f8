"""The languages that people are told things in: their words, their numbers and dates. English is the language of the program."""

import gettext
import io
import re
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
REGIONS = {"es": "es_MX"}  # whose numbers and dates a language has: Mexico writes 1,234.5, and there 1.234 is one and a bit
LOG = "log"  # the context of sentences that the log has in English
HINT = " Hint: "
COLON = ": "
DEEPEST, LONGEST = 8, 2000  # parts within parts, and characters, of a sentence of ours; whatever has more is somebody else's
PLACE = re.compile(r"\{\w*\}")
# Forms of a day by their names in CLDR, and how English has them.
FORMS = {"MMMd": "%-d %b", "MMM": "%b", "yMMM": "%b %Y", "yMMMd": "%-d %b %Y", "yMMMM": "%B %Y"}


class Language:
    """English, which needs no catalogue. Other languages take the place of its words and its forms."""

    code = "en"
    _words = gettext.NullTranslations()

    def __call__(self, text: str, **values: object) -> str:
        """Return a text in this language, with the values in its places."""
        return self._words.gettext(text).format(**values)

    def count(self, one: str, many: str, number: int, **values: object) -> str:
        """Return how many there are: ``{n} file`` or ``{n} files``, in this language."""
        return self._words.ngettext(one, many, number).format(n=self.number(number), **values)

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with so many decimals."""
        return f"{value:,.{digits}f}"

    def day(self, day: date, form: str) -> str:
        """Return a day in one of FORMS."""
        return day.strftime(FORMS[form])

    def quote(self, sentence: str) -> str:
        """Return a sentence of the log as this language says it; what is not known of it stays as it is."""
        return sentence


class Translation(Language):
    """A language with a catalogue: ``locale/es/LC_MESSAGES/visitas.po``."""

    def __init__(self, code: str) -> None:
        # Imported here: Babel takes a tenth of a second, and who reads English does not need it.
        from babel.messages.mofile import write_mo  # noqa: PLC0415
        from babel.messages.pofile import read_po  # noqa: PLC0415

        self.code = code
        with (LOCALE / code / "LC_MESSAGES" / "visitas.po").open("rb") as file:
            catalogue = read_po(file, code)
        binary = io.BytesIO()
        write_mo(binary, catalogue)
        binary.seek(0)
        self._words = gettext.GNUTranslations(binary)
        known = [(str(entry.id), str(entry.string)) for entry in catalogue if entry.context == LOG]
        self._known = [(pattern_of(text), said) for text, said in sorted(known, key=own_length, reverse=True)]

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with so many decimals."""
        from babel.numbers import format_decimal  # noqa: PLC0415

        form = f"#,##0.{'0' * digits}" if digits else "#,##0"
        return format_decimal(Decimal(f"{value:.{digits}f}"), form, REGIONS[self.code])

    def day(self, day: date, form: str) -> str:
        """Return a day in one of FORMS."""
        from babel.dates import format_skeleton  # noqa: PLC0415

        return format_skeleton(form, day, locale=REGIONS[self.code])

    def quote(self, sentence: str) -> str:
        """Return a sentence of the log as this language says it; what is not known of it stays as it is."""
        return self(HINT).join(self._say(part) for part in sentence.split(HINT, 1))

    def _say(self, text: str, depth: int = 0) -> str:
        """Return a sentence, or a part of one. Names of scripts and files, and colons, may stand before it."""
        if depth > DEEPEST or len(text) > LONGEST:
            return text
        starts = [0, *(colon.end() for colon in islice(re.finditer(COLON, text), DEEPEST))]
        for start in starts:
            for pattern, said in self._known:
                if found := pattern.fullmatch(text, start):
                    values = (self._say(value, depth + 1) for value in found.groups())
                    return self._say_parts(text[:start], depth) + said.format(*values)
        return self._say_parts(text, depth) if len(starts) > 1 else text

    def _say_parts(self, text: str, depth: int) -> str:
        return COLON.join(self._say(part, depth + 1) for part in text.split(COLON, DEEPEST))


def pattern_of(text: str) -> re.Pattern[str]:
    """Return what finds the values of ``{0} is refused: {1}.`` in one go: no value but the last is tried a second time.

    A value at the begin is a name, or the like: it has no colon.
    """
    pattern, *others = map(re.escape, PLACE.split(text))
    value = "(.*?)" if pattern else f"((?:(?!{COLON}).)*?)"
    for part in others[:-1]:
        pattern += f"(?>{value}{part})"
        value = "(.*?)"
    return re.compile(pattern + "".join(value + part for part in others[-1:]))


def own_length(entry: tuple[str, str]) -> int:
    """Return how much of a text is its own: where several fit a sentence, the one that says most of it is meant."""
    return len(PLACE.sub("", entry[0]))


def read_language(code: str) -> Language:
    """Return the language that NOTICE_LANGUAGE names."""
    return Language() if code == Language.code else Translation(code)

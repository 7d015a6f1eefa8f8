"""The notices in other languages: nothing is untranslated or left over, and nothing stays English."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from base.settings import Settings
from kit import messages
from kit.messages import LOCALE, PLACE, english_in, extract
from kit.night import Night
from kit.receivers import MailSink, WebSink, mail_sink, web_sink
from kit.samples import line, report
from kit.servers import ETL
from notices.language import Language, Translation, read_language

CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))
SPANISH = Translation("es")


def test_each_language_has_a_catalogue() -> None:
    codes = Settings.model_fields["notice_language"].annotation.__args__  # type: ignore[union-attr]
    assert {path.parent.parent.name for path in CATALOGUES} | {"en"} == set(codes)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.parent.name)
def test_no_message_is_untranslated_or_left_over(path: Path) -> None:
    """``.venv/bin/python tests/kit/messages.py`` enters what is new, and takes out what is left over."""
    catalogue, said = messages.read(path), extract()
    known = {(entry.context, entry.id): entry for entry in catalogue if entry.id}
    assert set(known) == {(entry.context, entry.id) for entry in said if entry.id}
    for entry in known.values():
        texts = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        assert all(texts), f"not translated: {entry.id}"
        assert not entry.fuzzy, f"nobody has confirmed: {entry.id}"
        model = entry.id[-1] if isinstance(entry.id, tuple) else entry.id
        for text in texts:
            assert {*PLACE.findall(text)} == {*PLACE.findall(model)} - {"{th}"}, f"other values: {text}"  # th: English only
    assert not catalogue.obsolete


def test_what_is_listed_by_hand_is_said() -> None:
    sources = "\n".join(path.read_text() for path in ETL.rglob("*.py"))
    for part in messages.PARTS:
        words = max(PLACE.split(part), key=len).strip(" .(,")
        assert words in sources or f'"{words.removesuffix("s")}"' in sources, part


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.parent.name)
def test_a_catalogue_is_as_it_is_written(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.relative_to(LOCALE)
    copy.parent.mkdir(parents=True)
    copy.write_text(path.read_text())
    messages.renew(copy)
    assert copy.read_text() == path.read_text()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("etl: interrupted; the next run continues from here.", "etl: interrumpido; la próxima ejecución continúa desde aquí."),
        (
            "load: report_3.txt is refused: the file is empty, or its first line is not the header."
            " Hint: ask the sender; make rejects ID=4 shows that line.",
            "load: report_3.txt no se admitió: el archivo está vacío, o su primera línea no es el encabezado."
            " Sugerencia: pregunte a quien lo envía; make rejects ID=4 muestra esa línea.",
        ),
        (
            "load: report_12.txt is quarantined: 6 of 8 lines are rejected, and MAX_ERROR_RATE is 0.5.",
            "load: report_12.txt está en cuarentena: 6 de 8 líneas se rechazaron, y MAX_ERROR_RATE es 0.5.",
        ),
        (
            "extract: 5 files (a.txt, b.txt and 3 more): the SFTP server refuses to give the file: Some: trouble.",
            "extract: 5 archivos (a.txt, b.txt y 3 más): el servidor SFTP se niega a dar el archivo: Some: trouble.",
        ),
        (
            "load: report_8.txt: Postgres does not allow this: permission denied for table visitor.",
            "load: report_8.txt: Postgres no lo permite: permission denied for table visitor.",
        ),
        ("etl: WORK_DIR /tmp/visitas is a link.", "etl: WORK_DIR /tmp/visitas es un enlace."),
        (
            "dead-man's switch was not reached the last time: HEALTHCHECK_URL: timed out",
            "la vez pasada falló el canal interruptor de hombre muerto: HEALTHCHECK_URL: no respondió a tiempo",
        ),
        ("whatever: somebody else said. Hint: {0} {braces}", "whatever: somebody else said. Sugerencia: {0} {braces}"),
        ("", ""),
    ],
)
def test_a_sentence_of_the_log_is_quoted(said: str, expected: str) -> None:
    assert SPANISH.quote(said) == expected
    assert Language().quote(said) == said


@pytest.mark.parametrize("said", ["x: " * 3000, "a is refused: " * 140, "{0}" * 3000, ": ", "x " * 900 + "more", " Hint: " * 900])
def test_whatever_was_said_is_quoted(said: str) -> None:
    assert SPANISH.quote(said)


def test_numbers_and_days() -> None:
    """As in Mexico: CLDR's es_MX."""
    assert [SPANISH.number(1234.56, digits) for digits in (0, 1)] == ["1,235", "1,234.6"]
    forms = ("MMMd", "MMM", "yMMM", "yMMMd", "yMMMM")
    day = date(2026, 9, 6)
    assert [SPANISH.day(day, form) for form in forms] == ["6 sep", "sep", "sep 2026", "6 sep 2026", "septiembre de 2026"]
    assert [Language().day(day, form) for form in forms] == ["6 Sep", "Sep", "Sep 2026", "6 Sep 2026", "September 2026"]
    for number, expected in ((0, "0 archivos"), (1, "1 archivo"), (1_000_000, "1,000,000 archivos")):
        assert SPANISH.count("{n} file", "{n} files", number) == expected


def test_english_needs_no_babel() -> None:
    code = "import sys; from notices.language import read_language; read_language('en')('x'); print('babel' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ETL, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert type(read_language("en")) is Language


class Told(Night):
    """A night that tells people in Spanish."""

    mail: MailSink
    slack: WebSink


@pytest.fixture
def told(night: Night) -> Iterator[Told]:
    with mail_sink() as (mail, settings), web_sink() as slack:
        night.__class__ = Told
        assert isinstance(night, Told)
        night.settings |= settings | {"SLACK_WEBHOOK_URL": f"{slack.url}/hook", "NOTICE_LANGUAGE": "es"}
        night.mail, night.slack = mail, slack
        yield night


def bodies(told: Told) -> Iterator[str]:
    """Yield every text that people were sent, as they see it."""
    for message in told.mail.received:
        yield str(message["Subject"])
        for kind in ("plain", "html"):
            part = message.get_body((kind,))
            assert part
            yield unescape(part.get_content())
    for request in told.slack.received:
        yield unescape(request.json["blocks"][0]["text"]["text"])


def test_a_warning_in_spanish(told: Told) -> None:
    told.deliver("report_1.txt", report(line(), line("ana", envio="-"), b"x,,\r\n"))
    told.deliver("report_3.txt", b"id,name\r\n1,x\r\n")
    told.deliver("report_4.txt", report(line("nobody")))
    done = told.run(MAX_ERROR_RATE="0.9")
    assert done.returncode == 3
    assert "load: report_3.txt is refused: the file is empty" in done.stderr  # the log is English
    told.deliver("report_1.txt", report(line("cata@example.com")))
    assert told.run("undo", "--file", "report_1.txt", "--yes").returncode == 0
    assert told.run(SLACK_WEBHOOK_URL="http://127.0.0.1:9/x").returncode == 0
    assert told.run(MAIL_ON_SUCCESS="true").returncode == 0
    said = list(bodies(told))
    assert said[0] == "[visitas] AVISO: 1 de 3 archivos cargados, 1 no admitido, 1 en cuarentena, 1 de 4 líneas"
    assert '<html lang="es">' in said[2]
    assert "faltan en los números consecutivos: report_2.txt. Sugerencia: " in said[1]
    assert [english_in(text) for text in said] == [set()] * len(said)


def test_a_failure_in_spanish(told: Told) -> None:
    assert told.run(SFTP_PORT="1", DATABASE_URL="host=127.0.0.1 port=1", RETRY_SECONDS="0").returncode == 10
    assert told.run(SMTP_PORT="1").returncode == 0
    assert told.run().returncode == 0
    said = list(bodies(told))
    subjects = [text for text in said if text.startswith("[visitas]")]
    assert subjects[0].startswith("[visitas] FALLÓ: extract: no se puede llegar al servidor SFTP 127.0.0.1:1: ")
    assert "Nada se ha perdido: la próxima ejecución sigue desde aquí." in said[1]
    assert subjects[-1] == "[visitas] AVISO: nada nuevo; 1 aviso"
    assert "*BIEN, se recuperó tras 1 noche fallida*: nada nuevo" in said[-2]
    texts = [re.sub("(connection to server[^:]*: )?Connection refused", "", text) for text in said]  # the system's words stay
    assert [english_in(text) for text in texts] == [set()] * len(said)


def test_a_trial_in_spanish(told: Told) -> None:
    assert told.run("try-channels").returncode == 0
    said = list(bodies(told))
    assert said[0] == "[visitas] PRUEBA: este es un mensaje de prueba"
    assert [english_in(text) for text in said] == [set()] * len(said)


def test_english_is_found() -> None:
    assert english_in("Los archivos were refused") == {"were", "refused"}
    assert (
        english_in('<td style="refused">x</td> refused.txt "were refused" make rejects SMTP_HOST extract: were-refused') == set()
    )

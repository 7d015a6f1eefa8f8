"""A marker with every nasty character, planted at each door: it reaches no output as it is.

It comes back nowhere with a character that moves a terminal or turns a line, nor on a line that looks like one of ours.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.message import EmailMessage
from html import unescape
from pathlib import Path

import pytest

from kit.night import Night
from kit.quirks import FAILURE, Quirks
from kit.quirky import serving
from kit.receivers import mail_sink, one_answer, web_sink
from kit.samples import line, report

pytestmark = pytest.mark.long

MAILBOX = "mole.lopez@example.com"
NASTY = (
    "MARK\nFORGED\r\x1b[31m\x07\x08\x7f\x85FORGED\x90\x9b31m\u2028FORGED\u2029\u202e\u2066\u200f\u200b\ufeff\xad\xa0 "
    f"{MAILBOX} <!channel> <b>"
)
BYTES = NASTY.encode() + b"\xff\xed\xb2\x80"  # no UTF-8, and a lone surrogate
DANGEROUS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
TRIGGER = """
create function refuse() returns trigger language plpgsql as $$ begin raise exception using message = {message}; end $$;
create trigger refuse before insert on {table} for each row when ({when}) execute function refuse();
"""


def assert_clean(output: str, *, line_end: str = "\n", mailbox: bool = False) -> None:
    """Assert that nothing nasty is in an output; ``mailbox``: whoever asks about a mailbox may see it."""
    assert [f"U+{ord(char):04X}" for char in output.replace(line_end, "") if unicodedata.category(char) in DANGEROUS] == []
    assert not any(text.lstrip().startswith("FORGED") for text in output.splitlines())
    assert mailbox or "mole.lopez" not in output


def outputs(night: Night) -> Iterable[str]:
    """Yield what a night has left in LOG_DIR, what JSON hides included."""
    for path in night.logs.iterdir():
        if path.suffix == ".json":
            yield from unpacked(json.loads(path.read_text()))
        yield path.read_text()


def unpacked(value: object) -> Iterable[str]:
    """Yield every text in a value of JSON."""
    if isinstance(value, dict):
        for each in value.values():
            yield from unpacked(each)
    elif isinstance(value, str):
        yield value


def parts(message: EmailMessage) -> Iterable[str]:
    """Yield a mail's subject and its parts as people read them."""
    yield str(message["Subject"])
    for part in message.walk():
        if part.get_content_maintype() == "text":
            yield unescape(part.get_content().replace("\r\n", "\n"))


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(preamble=(BYTES.replace(b"\n", b"") + b"\r\n") * 200),
        Quirks(preamble=b"SSH-1.0-" + BYTES.replace(b"\n", b"") + b"\r\n"),
        Quirks(key_types=("ssh-" + NASTY.replace(",", ""),)),
        Quirks(kex=(NASTY,)),
        Quirks(ciphers=(NASTY,)),
        Quirks(banner=NASTY, methods="keyboard-interactive", questions=("Password: ", NASTY)),
        Quirks(on={"open report_1.txt": FAILURE._replace(text=NASTY)}),
        Quirks(on={"opendir *": FAILURE._replace(text=NASTY)}),
        Quirks(names=tuple(b"report_" + BYTES.replace(b"\n", end) + b".txt" for end in (b"\n", b" "))),
    ],
    ids=["banner", "version", "host key type", "key exchange", "cipher", "question", "status text", "folder", "name"],
)
def test_what_an_sftp_server_says(tmp_path: Path, database: str, quirks: Quirks) -> None:
    (folder := tmp_path / "night").mkdir()
    with serving(tmp_path / "server", folder / "source", quirks) as server, mail_sink() as (sink, settings):
        night = Night(folder, server.settings() | settings | {"DATABASE_URL": database})
        night.deliver("report_1.txt", report(line()))
        done = night.run()
        status = night.run("status")
    assert done.returncode in (3, 10)
    told = [text for message in sink.received for text in parts(message)]
    assert told
    for text in (done.stdout, done.stderr, status.stdout, status.stderr, *outputs(night), *told):
        assert_clean(text)


@pytest.fixture
def planted(night: Night) -> Night:
    """A night whose reports, tables and statements are full of the marker."""
    night.deliver("report_1.txt", BYTES.replace(b"\n", b" ") + b"," * 14 + b"\n")
    night.deliver(
        "report_2.txt",
        report(
            line(NASTY.replace("\n", "").replace(",", "") + "@x"),
            f"bea@example.com,{NASTY_TEXT},,,08/02/2013 18:30,-,0,0,-,0,0,-,-,-,-\r\n".encode(),
            BYTES.replace(b"\n", b" ") + b"\r\n",
            line("cid@example.com"),
        ),
    )
    night.deliver("report_3.txt", report(line("dan@example.com")))
    message = "$m$" + NASTY + "$m$"
    night.sql(TRIGGER.format(message=message, table="statistics", when="new.email like 'cid%%'").replace("%%", "%"))
    return night


NASTY_TEXT = NASTY.translate(dict.fromkeys((*range(32), 127, ord(","))))  # what a field may hold


def test_what_files_and_postgres_say(planted: Night) -> None:
    with mail_sink() as (sink, settings):
        done = planted.run(**settings)
        assert done.returncode == 3
        planted.sql("update load_file set name = %s where name = 'report_3.txt'", "report_" + NASTY)
        planted.sql("insert into load_change (changed_by, what, file_id, lines) values (%s, 'undo', 2, 1)", NASTY)
        planted.sql("update errors set message = %s where file_id = 1", f"layout-header: {NASTY}")
        again = planted.run(**settings, LOG_FORMAT="json")
        asked = [planted.run("explain", "--file", "report_2.txt", "--line", str(number)) for number in range(1, 7)]
        asked += [
            planted.run("explain", "--email", "bea@example.com"),
            planted.run("explain", "--file", "report_1.txt", "--line", "1"),
        ]
        asked += [planted.run(command) for command in ("history", "status", "last-run")]
        asked += [planted.run("history", "--file", name) for name in ("report_2.txt", "report_" + NASTY)]
        asked += [
            planted.run("undo", "--id", "3", "--yes"),
            planted.run("report", "--month", f"{datetime.now(UTC):%Y-%m}", "--csv", "--mail", **settings),
        ]
    assert "MARK" in "".join(each.stdout for each in asked)
    for each in (done, again, *asked):
        assert "Traceback" not in each.stderr
        assert_clean(each.stdout, mailbox=True)
        assert_clean(each.stderr)
    for text in (*outputs(planted), *(text for message in sink.received for text in parts(message))):
        assert_clean(text.replace("\r\n", "\n"), mailbox=True)


def test_a_table_that_refuses_everything(night: Night) -> None:
    night.deliver("report_1.txt", report(line()))
    night.sql(TRIGGER.format(message="$m$" + NASTY + "$m$", table="load_file", when="true"))
    done = night.run()
    assert done.returncode == 12
    assert "MARK" in done.stderr
    for text in (done.stderr, *outputs(night)):
        assert_clean(text)


@pytest.mark.parametrize(
    ("answer", "settings"),
    [
        (b"554 " + BYTES + b"\r\n", lambda port: {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port)}),
        (b"HTTP/1.1 500 " + BYTES + b"\r\n\r\n", lambda port: {"SLACK_WEBHOOK_URL": f"http://127.0.0.1:{port}/x"}),
        (BYTES + b"\r\n\r\n", lambda port: {"SLACK_WEBHOOK_URL": f"http://127.0.0.1:{port}/x"}),
        (b"HTTP/1.1 500 " + BYTES + b"\r\n\r\n", lambda port: {"HEALTHCHECK_URL": f"http://127.0.0.1:{port}/x"}),
        (BYTES + b"\r\n\r\n", lambda port: {"HEALTHCHECK_URL": f"http://127.0.0.1:{port}/x"}),
    ],
    ids=["SMTP", "Slack's status", "Slack's first line", "the switch's status", "the switch's first line"],
)
def test_what_a_channel_answers(night: Night, answer: bytes, settings: Callable[[int], dict[str, str]]) -> None:
    night.deliver("report_1.txt", b"no report\n")
    mail = {"MAIL_FROM": "etl@example.org", "MAIL_TO": "ops@example.org", "SMTP_STARTTLS": "false"}
    with one_answer(answer) as port:
        done = night.run(**mail, **settings(port))
        tried = night.run("try-channels", **mail, **settings(port))
    assert done.returncode == 3
    assert "was not reached" in done.stderr
    status = night.run("status")
    assert "not reached" in status.stdout
    with mail_sink() as (sink, good), web_sink() as slack:
        night.deliver("report_2.txt", b"no report either\n")
        later = night.run(**good, SLACK_WEBHOOK_URL=slack.url)
    told = [text for message in sink.received for text in parts(message)]
    assert any("was not reached the last time" in text for text in told)
    told += [request.json["blocks"][0]["text"]["text"] + request.json["text"] for request in slack.received]
    for each in (done, tried, status, later):
        for text in (each.stdout, each.stderr):
            assert_clean(text)
    for text in (*told, *outputs(night)):
        assert_clean(text)


@pytest.mark.parametrize(
    "asked",
    [
        ("history", "--file", NASTY),
        ("history", NASTY),
        ("explain", "--file", NASTY, "--line", "1"),
        ("explain", "--file", "x", "--line", NASTY),
        ("explain", "--email", NASTY),
        ("explain", "--email", NASTY_TEXT.split()[-3]),
        ("undo", "--file", NASTY),
        ("undo", "--id", NASTY),
        ("reload", "--file", NASTY),
        ("rejects", "--file", NASTY),
        ("replay", NASTY),
        ("forget", "--email", NASTY, "--yes"),
        ("report", "--month", NASTY),
        (NASTY,),
    ],
    ids=lambda asked: " ".join(asked[:2]).replace(NASTY, "MARK")[:30],
)
def test_what_a_person_types(night: Night, asked: tuple[str, ...]) -> None:
    done = night.run(*asked)
    assert done.returncode in (0, 2, 3)
    assert "Traceback" not in done.stderr
    assert_clean(done.stdout, mailbox=True)
    assert_clean(done.stderr, mailbox=True)

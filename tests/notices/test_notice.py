"""A notice that arrives, whatever was said: its messages are cut, and no mail server finds it too large."""

from pathlib import Path

import pytest

from base.settings import Settings
from kit.night import Night
from kit.quirks import FAILURE, Quirks
from kit.quirky import serving
from kit.receivers import mail_sink, web_sink
from kit.samples import line, report
from notices.channels import send_mail
from notices.digest import Change, Digest, Reject, Result
from notices.journal import End, Journal
from notices.language import read_language
from notices.notice import LISTED, MESSAGE_LIMIT, SLACK_LIMIT, SUBJECT_LIMIT, render
from parsing.faults import Code

NOTICE_LIMIT = 256 << 10  # bytes
HUGE = 6_000_000  # characters


@pytest.mark.parametrize("code", ["en", "es"])
@pytest.mark.parametrize("char", ["x", '"', "<", "ñ", "漢", "😀", "\x1b", "\U000e0041", "@"])
def test_the_largest_notice(char: str, code: str) -> None:
    """Every place is filled with one character: the widest in UTF-8, those that HTML escapes, and those that get escapes here."""
    said = [f"{number} {char * 20_000}" for number in range(100)]
    journal = Journal([End(stage, 0, 0.1) for stage in ("etl", "extract", "transform", "load", "archive")], said, said, {})
    rejects = [Reject(code, 1 << 31, [char * (200 // len(char.encode()))] * 3) for code in Code]
    result = Result([], rejects, 0, 0, [Change("undo", text, 1, char * 63) for text in said])
    with mail_sink() as (sink, given):
        settings = Settings(sftp_host="x", sftp_user="x", **{name.lower(): value for name, value in given.items()})  # type: ignore[arg-type]
        notice = render(Digest("run", 10, journal, result, 1, None), "FAILED", read_language(code), settings)
        send_mail(notice, settings)
        assert len(bytes(sink.received[0])) <= NOTICE_LIMIT
    assert len(notice.subject) <= SUBJECT_LIMIT
    assert len(notice.slack) <= SLACK_LIMIT
    messages = [text[2:] for text in notice.text.splitlines() if text[:2] in ("! ", "* ")]
    assert len(messages) == 2 * (LISTED + 1)
    assert max(len(text.encode()) for text in messages) <= MESSAGE_LIMIT
    assert notice.html.endswith("</html>\n")


def test_a_status_text_of_6_mb(tmp_path: Path, database: str) -> None:
    (folder := tmp_path / "night").mkdir()
    quirks = Quirks(on={"open report_1.txt": FAILURE._replace(text="x" * HUGE)})
    with (
        serving(tmp_path / "server", folder / "source", quirks) as server,
        mail_sink() as (sink, given),
        web_sink() as slack,
        web_sink() as switch,
    ):
        channels = {"SLACK_WEBHOOK_URL": slack.url, "HEALTHCHECK_URL": switch.url}
        night = Night(folder, server.settings() | given | channels | {"DATABASE_URL": database})
        night.deliver("report_1.txt", report(line()))
        done = night.run()
    assert done.returncode == 10
    assert len(done.stderr) < 1000
    assert "refuses to give the file: xxx" in sink.received[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert len(bytes(sink.received[0])) < 20_000
    assert max(len(request.body) for request in (*slack.received, *switch.received)) < 10_000
    assert max(path.stat().st_size for path in night.logs.iterdir()) < 20_000

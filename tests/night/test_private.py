"""What a refused file shows: its first line may be of a person, and stays in errors.raw_line."""

from datetime import UTC, datetime
from html import unescape

from kit.night import Night
from kit.receivers import mail_sink

PERSON = ("Ana Lopez", "555-0100", "10.0.0.7", "ana.lopez")
FIRST = b"ana.lopez@example.com,Ana Lopez,555-0100,10.0.0.7\r\n"


def test_a_refused_file_whose_first_line_is_data(night: Night) -> None:
    night.deliver("report_1.txt", FIRST)
    month = f"{datetime.now(UTC):%Y-%m}"
    with mail_sink() as (sink, settings):
        done = night.run(**settings)
        shown = night.run("report", "--month", month, "--csv", "--mail", **settings)
    ((message, raw),) = night.sql("select message, raw_line from errors")
    assert message.endswith(': "4 columns, not 15; no email at 1, Badmail at 3 and 12 more"')
    assert raw == FIRST.decode().rstrip()
    assert done.returncode == 3
    assert message in unescape((night.logs / f"report-{month}.html").read_text())
    told = [bytes(message).decode() for message in sink.received]
    told += [part.get_content() for message in sink.received for part in message.walk() if part.get_content_maintype() == "text"]
    assert len(told) >= 4
    for text in (message, done.stderr, shown.stdout, shown.stderr, *told, *(path.read_text() for path in night.logs.iterdir())):
        assert [person for person in PERSON if person in text] == []

"""What a refused file shows: its first line may be of a person, and stays in errors.raw_line."""

import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from commands.report import as_cell
from kit.night import Night
from kit.receivers import mail_sink
from kit.samples import line, report
from kit.servers import ETL

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
    assert {path.stat().st_mode & 0o777 for path in night.logs.iterdir()} == {0o600}
    told = [bytes(message).decode() for message in sink.received]
    told += [part.get_content() for message in sink.received for part in message.walk() if part.get_content_maintype() == "text"]
    assert len(told) >= 4
    for text in (message, done.stderr, shown.stdout, shown.stderr, *told, *(path.read_text() for path in night.logs.iterdir())):
        assert [person for person in PERSON if person in text] == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum", "'@sum"),
        ("\t=1", r"'\t=1"),
        ("\r=1", r"'\r=1"),
        ("a=1", "a=1"),
        ("", ""),
        (-1, -1),
        (-0.12345, -0.1235),
        (None, None),
    ],
)
def test_cells_that_a_spreadsheet_does_not_calculate(value: object, cell: object) -> None:
    assert as_cell(value) == cell


def test_the_files_of_the_drill_are_nobody_elses(night: Night) -> None:
    night.deliver("report_1.txt", report(line()))
    assert night.run().returncode == 0
    (folder := night.folder / "tmp").mkdir()
    seen: set[int] = set()
    done = run_watched(night, folder, seen)
    assert done == 0
    assert seen == {0o600}


def run_watched(night: Night, folder: Path, seen: set[int]) -> int:
    """Run the drill with its temporary files in a folder, and note the modes of its files."""
    command = [sys.executable, str(ETL), "restore-drill"]
    with subprocess.Popen(command, env=night.environment(TMPDIR=str(folder)), stdout=subprocess.DEVNULL) as drill:
        while drill.poll() is None:
            for where, _, names in os.walk(folder):  # which passes over what is gone meanwhile
                for name in names:
                    with suppress(FileNotFoundError):
                        seen.add((Path(where) / name).stat().st_mode & 0o777)
    return drill.returncode

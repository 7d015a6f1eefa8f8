"""The statements of sql/: nothing of a value can become a part of a statement."""

import re
from pathlib import Path

import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT
from postgres.statements import query

FILES = sorted(path for path in (ROOT / "sql").glob("*/*.sql") if path.parent.name != "migrations")
TEXT = re.compile(r"'[^']*'")
NASTY = [
    "x\n; drop table visitor; --",
    "x\r\n'; drop table visitor; --",
    "x'); drop table visitor; --",
    "x\\'; drop table visitor; --",
    "%(email)s",
    "%s",
    "%",
    "$1",
    "$$; drop table visitor; $$",
    "*/ drop table visitor; /*",
    "--help\n",
    "\u2028drop table visitor",
    "x" * 100_000,
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_comment_holds_no_placeholder_and_is_not_sent(path: Path) -> None:
    lines = path.read_text().splitlines()
    comments = [line[line.index("--") :] for line in lines if "--" in line]
    assert lines[0].startswith("-- ")
    assert not [comment for comment in comments if "%" in comment]
    assert "--" not in query(f"{path.parent.name}/{path.stem}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_text_means_the_same_under_any_setting(path: Path) -> None:
    """A backslash in a text depends on standard_conforming_strings; two dashes in it would be taken for a comment."""
    code = "\n".join(line.partition("-- ")[0] for line in path.read_text().splitlines())
    for text in TEXT.findall(code):
        assert "\\" not in text
        assert "--" not in text


@pytest.mark.long
@pytest.mark.parametrize("conforming", ["on", "off"])
def test_what_people_type_is_a_value(night: Night, conforming: str) -> None:
    night.deliver("report_1.txt", report(line()))
    assert night.run().returncode == 0
    night.sql(f"alter database {night.sql('select current_database()')[0][0]} set standard_conforming_strings = {conforming}")
    for value in NASTY:
        for command in (
            ["explain", f"--email={value}"],
            ["history", f"--file={value}"],
            ["explain", f"--file={value}", "--line=2"],
        ):
            done = night.run(*command)
            assert done.returncode in (0, 2, 3), (value, done.stderr)
            assert "Traceback" not in done.stdout + done.stderr
            assert "Postgres" not in done.stderr, (value, done.stderr)
    assert night.sql("select count(*) from visitor") == [(1,)]

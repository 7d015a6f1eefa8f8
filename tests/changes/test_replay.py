"""rejects and replay: rejected lines are written, corrected and loaded."""

import csv
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.night import Night
from kit.recount import assert_lawful
from kit.samples import line, report
from kit.sound import assert_sound

FAULTY = line(envio="31/02/2013 10:00")
ESCAPED = b"nul\x00and\xff@example.com" + line().removeprefix(b"ana@example.com")
CONTENT = report(line(), FAULTY, line("no address"), b'"broken\r\n', ESCAPED, b"cr\rinside\n")
Row = list[str]


@pytest.fixture
def rejected(night: Night) -> Night:
    """A night with a report of one good line and five faulty ones, 3 to 7, and its rejects file."""
    night.deliver("report_1.txt", CONTENT)
    assert night.run().returncode == 0
    done = night.run("rejects", "--file", "report_1.txt")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"5 rejected lines of report_1.txt (ID 1): {path_of(night)}" in done.stdout
    return night


def path_of(night: Night) -> Path:
    return night.logs / "report_1.txt.rejects.csv"


def edit(night: Night, change: Callable[[list[Row]], object]) -> None:
    """Change the rows of the rejects file, its header included."""
    with path_of(night).open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path_of(night).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def put(number: int, raw: str) -> Callable[[list[Row]], object]:
    """Return what gives a line of the report another text."""

    def change(rows: list[Row]) -> None:
        (row,) = (row for row in rows if row[1] == str(number))
        row[4] = raw

    return change


def good(email: str, envio: str = "10/02/2013 08:00") -> str:
    return line(email, envio).decode().strip()


def replay(night: Night, **changed: str) -> tuple[int, str]:
    done = night.run("replay", "--rejects", str(path_of(night)), "--yes", **changed)
    return done.returncode, done.stdout + done.stderr


def test_the_rejects_file(rejected: Night) -> None:
    assert stat.S_IMODE(path_of(rejected).stat().st_mode) == 0o600
    with path_of(rejected).open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file_id", "line_number", "codes", "message", "raw_line"]
    kept = rejected.sql(
        "select file_id::text, line_number::text, array_to_string(codes, ' '), message, raw_line from errors order by line_number"
    )
    assert rows == [list(row) for row in kept]
    assert [row[1] for row in rows] == ["3", "4", "5", "6", "7"]


def test_corrected_lines_are_loaded_once(rejected: Night) -> None:
    edit(rejected, put(3, good("ana@example.com")))
    edit(rejected, put(4, good("Eva@Example.com")))
    edit(rejected, put(5, "still broken"))
    status, said = replay(rejected)
    assert status == 0, said
    assert "Line 5 stays rejected: layout-columns" in said
    assert "Line 6 stays rejected: not changed. encoding" in said
    assert "report_1.txt (ID 1): 2 corrected lines loaded." in said
    assert "Visitors: 0 gone, 1 with other counts, 1 new." in said
    assert rejected.sql("select email, visitas_totales, fecha_ultima_visita::text from visitor order by 1") == [
        ("ana@example.com", 2, "2013-02-10 08:00:00"), ("eva@example.com", 1, "2013-02-10 08:00:00"),
    ]  # fmt: skip
    counts = "select status, rows_read, rows_loaded, rows_rejected, visitors_new, visitors_updated from load_file"
    assert rejected.sql(counts) == [("loaded", 6, 3, 3, 2, 0)]
    assert rejected.sql("select * from load_replay order by 2") == [(1, 3), (1, 4)]
    assert rejected.sql("select what, file_id, lines, rows_loaded from load_change") == [("replay", 1, 2, 1)]
    assert_sound(rejected)
    status, said = replay(rejected)
    assert status == 2
    assert "Line 3 was corrected and loaded before." in said
    assert "no rejected line was corrected; nothing was changed." in said
    assert rejected.sql(counts) == [("loaded", 6, 3, 3, 2, 0)]
    assert_lawful(rejected)


def test_a_reload_repeats_no_correction(rejected: Night) -> None:
    edit(rejected, put(3, good("bea@example.com")))
    assert replay(rejected)[0] == 0
    assert rejected.run("undo", "--id", "1", "--yes").returncode == 0
    assert_sound(rejected)
    done = rejected.run("reload", "--id", "1", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Corrected in the earlier load, and not repeated: 3." in done.stdout
    assert rejected.sql("select email from visitor") == [("ana@example.com",)]
    assert_sound(rejected)
    status, said = replay(rejected)  # of the earlier load
    assert (status, "report_1.txt (ID 1) is undone, not loaded." in said) == (2, True)


def test_a_line_left_as_it_was_stays(rejected: Night) -> None:
    """The escapes of line 6 read as text: as a line, they would be a good one."""
    escaped = r"nul\x00and\xff@example.com" + good("")
    assert rejected.sql("select raw_line from errors where line_number = 6")[0][0].startswith(r"nul\x00and\xff@example.com,")
    status, said = replay(rejected)
    assert (status, said.count("not changed")) == (2, 5), escaped
    assert_lawful(rejected)


def test_lines_that_postgres_refuses(rejected: Night) -> None:
    for table in ("statistics", "visitor"):
        rejected.sql(f"alter table {table} add constraint no_odd_{table} check (email !~ 'odd_{table}')")
    edit(rejected, put(3, good("odd_statistics@example.com")))
    edit(rejected, put(4, good("odd_visitor@example.com")))
    edit(rejected, put(5, good("bea@example.com")))
    status, said = replay(rejected)
    assert status == 0, said
    assert said.count("stays rejected: load-refused: Postgres refused") == 2
    assert rejected.sql("select email from visitor order by 1") == [("ana@example.com",), ("bea@example.com",)]
    assert_lawful(rejected)


def test_a_line_that_postgres_refused_is_corrected(night: Night) -> None:
    night.sql("alter table statistics add constraint no_odd_people check (email !~ 'odd')")
    night.deliver("report_1.txt", report(line("odd@example.com"), line("eve@example.com")))
    assert night.run().returncode == 0
    assert night.run("rejects", "--id", "1").returncode == 0
    edit(night, put(2, good("even@example.com")))
    assert replay(night)[0] == 0
    assert_sound(night)


BEYOND_USE: dict[str, tuple[Callable[[list[Row]], object], str]] = {
    "column missing": (lambda rows: [row.pop(2) for row in rows], "its first line is not file_id,"),
    "field missing": (lambda rows: rows[2].pop(), "its line 3 is not a line of a rejects file"),
    "no number": (lambda rows: rows[1].__setitem__(1, "three"), "its line 2 is not a line of a rejects file"),
    "no header": (lambda rows: rows.pop(0), "its first line is not file_id,"),
    "nothing": (lambda rows: rows.__delitem__(slice(1, None)), "it holds no line"),
    "other report": (lambda rows: rows[2].__setitem__(0, "2"), "it has lines of two reports"),
    "only another report": (lambda rows: [row.__setitem__(0, "7") for row in rows[1:]], "the load log does not know ID=7."),
    "twice": (lambda rows: rows.append(rows[1]), "line 3 of the report stands there twice"),
    "never rejected": (lambda rows: rows[2].__setitem__(1, "2"), "line 2 of the report is not a rejected line"),
    "too large": (lambda rows: rows[2].__setitem__(1, "9" * 12), "its line 3 is not a line of a rejects file"),
}


@pytest.mark.parametrize("case", BEYOND_USE)
def test_edited_beyond_use(rejected: Night, case: str) -> None:
    change, why = BEYOND_USE[case]
    edit(rejected, put(3, good("eva@example.com")))
    edit(rejected, change)
    status, said = replay(rejected)
    assert status == 2
    assert why in said
    assert said.count("\n") == 1, said
    assert rejected.sql("select email from visitor") == [("ana@example.com",)]
    assert rejected.sql("select count(*) from load_change") == [(0,)]
    assert_lawful(rejected)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00", "it is not UTF-8"),
        (b'file_id,line_number,codes,message,raw_line\n1,3,"a', "cannot be read"),
        (None, "No such file"),
    ],
)
def test_no_rejects_file(rejected: Night, content: bytes | None, why: str) -> None:
    path_of(rejected).unlink()
    if content is not None:
        path_of(rejected).write_bytes(content)
    status, said = replay(rejected)
    assert (status, why in said) == (2, True), said


def test_nothing_rejected_and_nothing_loaded(night: Night) -> None:
    night.settings["MAX_ERROR_RATE"] = "0.2"
    night.deliver("report_1.txt", report(line()))
    night.deliver("report_2.txt", report(line(), FAULTY))
    assert night.run().returncode == 3
    assert "report_1.txt (ID 1) has no rejected line." in night.run("rejects", "--id", "1").stderr
    done = night.run("rejects", "--id", "2")
    assert (done.returncode, "2 rejected lines of" in done.stdout) == (0, True)
    done = night.run("replay", "--rejects", str(night.logs / "report_2.txt.rejects.csv"), "--yes")
    assert (done.returncode, "report_2.txt (ID 2) is quarantined, not loaded." in done.stderr) == (2, True)

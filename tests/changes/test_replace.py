"""ON_REUSED_NAME=replace: a corrected report takes the place of the earlier one."""

import pytest

from kit.night import Night
from kit.recount import assert_lawful
from kit.samples import line, report
from kit.sound import assert_sound

FIRST = report(line(), line("bea@example.com"), line(envio="31/02/2013 10:00"))
SECOND = report(line(envio="01/02/2013 07:00"), line("eva@example.com"))


def corrected(night: Night, mode: str) -> str:
    night.settings["ON_REUSED_NAME"] = mode
    night.deliver("report_1.txt", FIRST)
    assert night.run().returncode == 0
    night.deliver("report_1.txt", SECOND)
    done = night.run()
    assert done.returncode == 0
    assert_sound(night)
    return done.stderr


def test_keep(night: Night) -> None:
    said = corrected(night, "keep")
    assert "report_1.txt came before with another content, and both count. Hint: ask the sender which one counts;" in said
    assert "make undo ID=1 takes the earlier one back." in said
    assert night.sql("select sum(visitas_totales) from visitor") == [(4,)]


def test_replace(night: Night) -> None:
    said = corrected(night, "replace")
    assert "report_1.txt came again with another content and takes the place of the earlier one." in said
    assert "visitors: 1 gone, 1 with other counts, 0 new; make reload ID=1 would load the earlier one again." in said
    assert night.statuses() == [("report_1.txt", "undone"), ("report_1.txt", "loaded")]
    assert night.sql("select email, visitas_totales from visitor order by 1") == [("ana@example.com", 1), ("eva@example.com", 1)]
    assert night.sql("select what, file_id, lines, status, rows_loaded from load_change") == [("replace", 1, 3, "loaded", 2)]
    done = night.run("reload", "--id", "1", "--yes")
    assert done.returncode == 0
    assert "takes the place of the earlier one" in done.stderr
    assert night.statuses() == [("report_1.txt", "undone"), ("report_1.txt", "undone"), ("report_1.txt", "loaded")]
    assert_sound(night)


@pytest.mark.long
def test_only_a_loaded_report_takes_a_place(night: Night) -> None:
    night.settings |= {"ON_REUSED_NAME": "replace", "MAX_ERROR_RATE": "0.5"}
    night.deliver("report_1.txt", report(line()))
    assert night.run().returncode == 0
    for content in (b"no report\n", report(line("bea@example.com"), b"x\r\n", b"y\r\n")):
        night.deliver("report_1.txt", content)
        assert night.run().returncode == 3
    assert night.sql("select status from load_file order by id") == [("loaded",), ("refused",), ("quarantined",)]
    night.deliver("report_2.txt", report(line("eva@example.com")))
    assert night.run().returncode == 0
    night.deliver("report_1.txt", report(line("eva@example.com")))  # a duplicate of another report
    assert night.run().returncode == 0
    assert night.sql("select email from visitor order by 1") == [("ana@example.com",), ("eva@example.com",)]
    assert_lawful(night)


@pytest.mark.long
def test_many_side_by_side(night: Night) -> None:
    """The same people in every report, in both orders: loads that take their turns side by side would wait for each other."""
    night.settings["ON_REUSED_NAME"] = "replace"
    people = [f"p{number:04}@example.com" for number in range(2000)]
    for turn in range(3):
        for number in range(1, 9):
            ordered = people if (turn + number) % 2 else people[::-1]
            envio = f"{number:02}/02/2013 {turn:02}:00"
            night.deliver(f"report_{number}.txt", report(*(line(who, envio) for who in ordered)))
        done = night.run()
        assert done.returncode == 0, done.stderr
    assert night.sql("select distinct visitas_totales from visitor") == [(8,)]
    assert night.sql("select status, count(*) from load_file group by 1 order by 1") == [("loaded", 8), ("undone", 16)]
    assert "deadlock" not in (night.logs / "load.log").read_text()
    assert_lawful(night)

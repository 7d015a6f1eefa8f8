"""Whole nights of ENGINE=spark: from the server to the lake, the zip and the mails' figures."""

import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from base.settings import Settings
from kit.lake import marks, need_spark, read, spark_settings
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, OpenSSH, wait_for
from spark.pieces import survey

pytestmark = marks("lake")


@pytest.fixture
def lake(tmp_path: Path, database: str, openssh: OpenSSH) -> Night:
    """A night of ENGINE=spark from the real OpenSSH server."""
    need_spark()
    return Night(tmp_path, openssh.settings() | {"DATABASE_URL": database} | spark_settings(tmp_path))


def rows(night: Night, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    """Return the rows of a table of the night's lake."""
    fields = {name.lower(): value for name, value in night.settings.items() if name.lower() in Settings.model_fields}
    return read(Settings.model_validate(fields), table, columns)


def test_a_night_and_another(lake: Night) -> None:
    first = report(line("ana@example.com"), line("bea@example.com"), b"no line\r\n")
    lake.deliver("report_1.txt", first)
    done = lake.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert lake.statuses() == [("report_1.txt", "loaded")]
    assert rows(lake, "statistics", "file_id, line_number, email") == [(1, 2, "ana@example.com"), (1, 3, "bea@example.com")]
    assert rows(lake, "errors", "line_number, raw_line") == [(4, "no line")]
    assert [email for (email,) in rows(lake, "visitor", "email")] == ["ana@example.com", "bea@example.com"]
    assert lake.sql("select count(*), count(published_at) from lake_night") == [(1, 1)]
    assert (list(lake.source.iterdir()), lake.left_in_work()) == ([], [])
    assert [path.name for path in lake.backups.iterdir()] == [lake.sql("select name from load_zip")[0][0]]
    assert not [path for path in (lake.folder / "landing").rglob("*") if path.is_file()]
    lake.deliver("report_2.txt", first)
    done = lake.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert lake.statuses() == [("report_1.txt", "loaded"), ("report_2.txt", "duplicate")]
    assert "loaded" in lake.run("history", "--file", "report_1.txt").stdout
    assert "no flaws" in lake.run("verify-backups").stdout
    drilled = lake.run("restore-drill")
    assert (drilled.returncode, drilled.stdout) == (0, "1 file, 2 statistics and 2 visitors compared: no differences.\n"), (
        drilled.stdout + drilled.stderr
    )
    assert_explained(lake)
    assert_not_built(lake)
    assert_kept(lake)
    (lake.folder / "lake" / "visitas" / "visitor" / "metadata" / "version-hint.text").write_text("1")  # as it was made: empty
    drilled = lake.run("restore-drill")
    assert drilled.returncode == 13
    assert "1 difference" in drilled.stdout


def assert_explained(lake: Night) -> None:
    """Assert that explain tells of a visitor, of a loaded line, a rejected one, and what is not there."""
    shown = lake.run("explain", "--email", "Ana@Example.com")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "ana@example.com: visits by fecha_envio" in shown.stdout
    assert "DIFFERENT" not in shown.stdout
    assert "No line of" in lake.run("explain", "--email", "nobody@example.com").stdout
    assert "Line 2 is loaded." in lake.run("explain", "--file", "report_1.txt", "--line", "2").stdout
    rejected = lake.run("explain", "--file", "report_1.txt", "--line", "4").stdout
    assert "Line 4 is rejected: layout-columns" in rejected
    assert "no line" in rejected


def assert_not_built(lake: Night) -> None:
    """Assert that commands that change what is in Postgres say in one sentence that they cannot."""
    for command in (
        ["undo", "--id=1"],
        ["reload", "--id=1"],
        ["rejects", "--id=1"],
        ["replay", "--rejects=x"],
        ["forget", "--email=a@b.com"],
    ):
        done = lake.run(*command)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"{command[0]}: {command[0]} is not built for ENGINE=spark.")


def assert_kept(lake: Night) -> None:
    """Assert that maintenance leaves every row as it is, and that there is nothing to move in any more."""
    before = rows(lake, "statistics")
    done = lake.run("lake-maintain")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "statistics: data files 1, now 1"), done.stderr
    assert rows(lake, "statistics") == before
    done = lake.run("lake-import")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lake-import: the history is in the lake already.")


def check(night: Night, **more: str) -> str:
    """Return what make check says of Spark."""
    table = night.run("check", **more, COLUMNS="400").stdout
    (said,) = [" ".join(row.replace("│", " ").split()) for row in table.splitlines() if "│ Spark " in row]
    return said


def test_check_has_a_worker_read_a_report(lake: Night) -> None:
    """It leaves nothing. What is missing on a worker is said, and so is a folder that others could change."""
    assert check(lake) == "Spark ok Spark 3.5.9, local[2]; a worker has read a report in LANDING_URL"
    landing = lake.folder / "landing"
    assert ([*landing.iterdir()], (lake.folder / "lake").exists()) == ([], False)
    said = check(lake, PYSPARK_PYTHON="/no/python")
    assert said.startswith("Spark FAULT Spark failed: ")
    assert "/no/python" in said
    assert check(lake, JAVA_HOME="/no/java").startswith("Spark FAULT Java is not found.")
    assert check(lake, LANDING_URL="ftps://x/y").startswith("Spark FAULT ftps://x/y/visitas_check: Unrecognized filesystem type")
    done = lake.run("explain", "--email", "ana@example.com")
    assert done.returncode == 14
    assert done.stderr.startswith("explain: the table statistics of the lake cannot be read: ")
    landing.chmod(0o777)
    assert check(lake).startswith(f"Spark FAULT LANDING_URL {landing} can be changed by everybody.")
    done = lake.run("lake.py")
    assert done.returncode == 13
    assert "can be changed by everybody" in done.stderr


def test_settings_that_are_not_built(lake: Night) -> None:
    for changed in ({"ON_REUSED_NAME": "replace"}, {"ERRORS_KEEP_DAYS": "3"}):
        done = lake.run(**changed)
        assert done.returncode == 2
        assert "ENGINE: spark is not built for" in done.stderr


def test_history_of_one_engine_is_not_gone_on_with_by_the_other(lake: Night) -> None:
    lake.deliver("report_1.txt", report(line()))
    assert lake.run(ENGINE="postgres").returncode == 0
    done = lake.run("lake.py")
    assert done.returncode == 2
    assert done.stderr == "lake: the history is in Postgres, not in the lake. Hint: make lake-import brings it there.\n"
    lake.sql("insert into lake_night (branch, run_id) select 'x', min(id) from load_run")
    done = lake.run("load.py", ENGINE="postgres")
    assert done.returncode == 2
    assert done.stderr == "load: the history is in the lake, and ENGINE is postgres. Hint: set ENGINE=spark.\n"


def test_small_reports_share_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    need_spark()
    from spark import parse  # noqa: PLC0415 - of make lake-setup

    monkeypatch.setattr(parse, "PIECE", 1000)
    small, large = (survey(BytesIO(line() * lines), 1000).pieces for lines in (1, 40))
    parts = [parse.Part(0, "", piece, frozenset()) for piece in (*small * 9, *large, *small * 9)]
    tasks = parse.tasks_of(parts)
    assert [part for task in tasks for part in task] == parts
    assert max(sum(piece.end - piece.start for _, _, piece, _ in task) for task in tasks) <= 2 * 1000
    assert len(tasks) == 4


def is_copied(night: Night) -> bool:
    """Whether a report lies in the landing folder."""
    return (night.folder / "landing" / "visitas_night" / "0").exists()


def is_decided(night: Night) -> bool:
    """Whether the load log has the night."""
    return bool(night.sql("select 1 from lake_night"))


def test_a_whole_night_after_a_kill(lake: Night) -> None:
    """The process is killed when the night is decided, and its Java ends a little later by itself."""
    lake.deliver("report_1.txt", report(line("ana@example.com"), line("bea@example.com"), b"no line\r\n"))
    assert lake.run("extract.py").returncode == 0
    with subprocess.Popen([sys.executable, str(ETL / "lake.py")], env=lake.environment()) as process:
        wait_for(lambda: is_decided(lake) or process.poll() is not None)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    done = lake.run()
    assert done.returncode == 0
    assert done.stderr.endswith("ended without a word; this run finishes its work\n")
    assert lake.statuses() == [("report_1.txt", "loaded")]
    assert [number for (number,) in rows(lake, "statistics", "line_number")] == [2, 3]
    assert [number for (number,) in rows(lake, "errors", "line_number")] == [4]
    assert rows(lake, "visitor", "email, visitas_totales") == [("ana@example.com", 1), ("bea@example.com", 1)]
    assert lake.sql("select count(*), count(published_at) from lake_night") == [(1, 1)]


def test_two_runs_at_once_and_a_cluster_that_is_not_there(lake: Night) -> None:
    """The second run ends with 11, the first with 14: it loads nothing, and clears nothing."""
    defaults = lake.folder / "conf" / "spark-defaults.conf"
    sound = defaults.read_text()
    defaults.write_text(sound.replace("local[2]", "spark://127.0.0.1:1"))
    lake.deliver("report_1.txt", report(line()))
    with subprocess.Popen(["bash", str(ETL / "etl.sh")], env=lake.environment(), stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: is_copied(lake) or process.poll() is not None)
        assert [lake.run(*command).returncode for command in ([], ["lake-maintain"])] == [11, 11]
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 14, said
    assert said.startswith("lake: Spark failed: ")
    assert lake.statuses() == []
    assert lake.left_in_work() == ["report_1.txt"]
    defaults.write_text(sound)
    assert lake.run().returncode == 0
    assert lake.statuses() == [("report_1.txt", "loaded")]

"""Whole nights of ENGINE=spark: from the server to the lake, the zip and the mails' figures."""

from pathlib import Path

import pytest

from base.settings import Settings
from kit.lake import need_spark, read, spark_settings
from kit.night import Night
from kit.samples import line, report
from kit.servers import OpenSSH

pytestmark = [pytest.mark.lake, pytest.mark.xdist_group("lake")]


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
    assert lake.run("verify-backups").returncode == 0
    assert "loaded" in lake.run("history", "--file", "report_1.txt").stdout

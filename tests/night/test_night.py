"""The whole night against a real OpenSSH server and a real Postgres."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT

SAMPLES = ROOT / "sftp-server" / "data-backup"
TABLES = {
    "visitor": "email",
    "statistics": "file_id, line_number",
    "errors": "file_id, line_number",
    "load_file": "id",
    "visitor_basis": "only_row",
}


def tables(night: Night) -> dict[str, list[Any]]:
    return {table: night.sql(f"select * from {table} order by {order}") for table, order in TABLES.items()}


def test_samples_then_nothing_new(night: Night) -> None:
    for sample in SAMPLES.iterdir():
        night.deliver(sample.name, sample)
    first = night.run()
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert night.sql("select name, status, rows_read, rows_loaded, rows_rejected from load_file order by id") == [
        ("report_7.txt", "loaded", 500, 500, 0),
        ("report_8.txt", "loaded", 500, 500, 0),
        ("report_9.txt", "loaded", 500, 500, 0),
        ("report_10.txt", "loaded", 40, 31, 9),
    ]
    assert night.sql("select code from rejects_by_code order by code") == [
        ("date-invalid",), ("date-missing",), ("email-invalid",), ("encoding",), ("layout-columns",), ("number-invalid",),
    ]  # fmt: skip
    assert list(night.source.iterdir()) == []
    assert night.left_in_work() == []
    before = tables(night)
    assert night.run().returncode == 0
    assert tables(night) == before
    assert len(list(night.backups.iterdir())) == 1


def test_backup_holds_the_reports_byte_for_byte(night: Night) -> None:
    contents = {sample.name: sample.read_bytes() for sample in SAMPLES.iterdir()}
    for name, content in contents.items():
        night.deliver(name, content)
    assert night.run().returncode == 0
    (path,) = night.backups.iterdir()
    assert night.sql("select distinct archive_name from load_file") == [(path.name,)]
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"} == contents
    assert [(entry["name"], entry["rows_rejected"]) for entry in manifest] == [
        ("report_7.txt", 0), ("report_8.txt", 0), ("report_9.txt", 0), ("report_10.txt", 9),
    ]  # fmt: skip
    for entry in manifest:
        assert entry["sha256"] == hashlib.sha256(contents[entry["name"]]).hexdigest()
        assert (entry["bytes"], entry["status"]) == (len(contents[entry["name"]]), "loaded")


def test_real_reports_give_the_right_answers(night: Night, real: Path) -> None:
    expected = json.loads((real / "expected.json").read_text())
    for number in (7, 8, 9):
        night.deliver(f"report_{number}.txt", real / f"report_{number}.txt")
    first = True
    for event, answers in expected["visits_by_event_and_as_of"].items():
        for as_of, answer in answers.items():
            done = night.run("etl.sh" if first else "load.py", "--as-of", as_of, VISIT_EVENT=event)
            assert (done.returncode, done.stderr) == (0, "")
            first = False
            ((visitors, total, year, month, repeated),) = night.sql(
                "select count(*), sum(visitas_totales), sum(visitas_anio_actual), sum(visitas_mes_actual),"
                " count(*) filter (where visitas_totales > 1) from visitor"
            )
            assert {
                "visitors": visitors,
                "visitas_totales": total,
                "visitas_anio_actual": year,
                "visitas_mes_actual": month,
                "visitors_with_more_than_one": repeated,
            } == answer, (event, as_of)
    ((read, loaded, rejected),) = night.sql("select sum(rows_read), sum(rows_loaded), sum(rows_rejected) from load_file")
    assert (read, loaded, rejected) == tuple(expected[f"lines_{what}"] for what in ("read", "loaded", "rejected"))
    sums = "sum(opens), sum(clicks), count(*) filter (where badmail = 'HARD'), count(*) filter (where baja = 'SI')"
    assert night.sql(f"select {sums}, count(fecha_open), count(fecha_click) from statistics") == [
        tuple(expected[name] for name in ("opens", "clicks", "badmail_hard", "baja_si", "fecha_open", "fecha_click"))
    ]


def test_each_stage_runs_alone_and_again(night: Night) -> None:
    night.deliver("report_7.txt", SAMPLES / "report_7.txt")
    for stage in ("extract.py", "transform.py", "load.py", "archive.py"):
        for _ in range(2):
            done = night.run(stage)
            assert (done.returncode, done.stderr) == (0, ""), stage
    assert night.statuses() == [("report_7.txt", "loaded")]
    assert night.left_in_work() == []
    assert list(night.source.iterdir()) == []


def test_a_failing_stage_holds_nothing_back(night: Night) -> None:
    night.deliver("report_7.txt", SAMPLES / "report_7.txt")
    assert night.run("extract.py").returncode == 0
    done = night.run(SFTP_PORT="1")  # nobody listens there
    assert done.returncode == 10
    assert done.stderr.count("cannot be reached") == 2  # extract and archive say so; the other stages say nothing
    assert night.statuses() == [("report_7.txt", "loaded")]
    assert night.sql("select archived_at is not null, source_deleted_at is null from load_file") == [(True, True)]
    assert (night.source / "report_7.txt").exists()
    assert night.run().returncode == 0
    assert night.statuses() == [("report_7.txt", "loaded")]
    assert not (night.source / "report_7.txt").exists()
    assert len(list(night.backups.iterdir())) == 1


def test_kept_sources_are_remembered(night: Night) -> None:
    kept = night.deliver("report_7.txt", SAMPLES / "report_7.txt")
    for _ in range(2):
        assert night.run(DELETE_SOURCE="false").returncode == 0
    assert kept.exists()
    assert night.statuses() == [("report_7.txt", "loaded")]
    assert "seen=1" in (night.logs / "extract.log").read_text()
    assert (night.logs / "extract.log").read_text().count("pulled report_7.txt") == 1
    kept.touch()  # another time may mean another file, so extract looks again
    os.utime(kept, (1, 1))
    assert night.run(DELETE_SOURCE="false").returncode == 0
    assert night.statuses() == [("report_7.txt", "loaded"), ("report_7.txt", "duplicate")]


def test_as_of_date_moves_the_counters_without_files(night: Night) -> None:
    night.deliver("report_7.txt", SAMPLES / "report_7.txt")
    assert night.run().returncode == 0
    counters = "select sum(visitas_totales), sum(visitas_anio_actual), sum(visitas_mes_actual) from visitor"
    assert night.sql(counters) == [(500, 500, 500)]
    assert night.run(AS_OF="2013-03-01").returncode == 0
    assert night.sql(counters) == [(500, 500, 0)]
    assert night.run("etl.sh", "--as-of", "2014-02-01").returncode == 0
    assert night.sql(counters) == [(500, 0, 0)]
    assert night.sql("select status, exit_status, as_of::text from load_run order by started_at, id") == [
        ("done", 0, "2013-02-15"), ("done", 0, "2013-03-01"), ("done", 0, "2014-02-01"),
    ]  # fmt: skip


def test_campaign_summary(night: Night) -> None:
    bounced = line("c@example.com", "08/02/2013 18:30", "08/02/2013 19:00", "08/02/2013 19:00").replace(b",,,,", b",,HARD,SI,")
    night.deliver(
        "report_1.txt",
        report(
            line("a@example.com", "08/02/2013 18:00", "08/02/2013 20:00", "08/02/2013 21:00"),
            line("b@example.com", "08/02/2013 18:30", "08/02/2013 22:00"),
            line("d@example.com", "08/02/2013 18:30", "08/02/2013 10:00"),  # opened before the send: not in the median
            line("e@example.com", "08/02/2013 18:30", clicked="08/02/2013 19:00").replace(b",,,,", b",,,SI,"),
            bounced,  # what came of it all the same is no part of what was delivered
            line("a@example.com", "09/02/2013 00:00"),
        ),
    )
    assert night.run().returncode == 0
    rows = night.sql("select * from campaign_summary order by send_date")
    assert [" ".join(map(str, row)) for row in rows] == [
        "report_1.txt 1 2013-02-08 5 1 4 3 2 1 0.8000 0.7500 0.5000 0.3333 0.2500 3.00",
        "report_1.txt 1 2013-02-09 1 0 1 0 0 0 1.0000 0.0000 0.0000 None 0.0000 None",
    ]


def test_a_large_file_that_is_refused_is_known_and_kept_whole(night: Night) -> None:
    """A refused file is hashed to its end, although no record is read."""
    content = b"no header\n" * 300_000
    night.deliver("report_1.txt", content)
    assert night.run().returncode == 3
    assert night.sql("select status, sha256 from load_file") == [("refused", hashlib.sha256(content).hexdigest())]
    (path,) = night.backups.iterdir()
    with zipfile.ZipFile(path) as archive:
        assert archive.read("report_1.txt") == content
    assert list(night.source.iterdir()) == []


def test_errors_are_staged_only_if_there_are_any(night: Night) -> None:
    night.deliver("report_1.txt", report(line()))
    night.deliver("report_2.txt", report(line(), line("nobody")))
    assert (night.run("extract.py").returncode, night.run("transform.py").returncode) == (0, 0)
    assert [name for name in night.left_in_work() if "errors" in name] == ["staged/report_2.txt.errors.csv"]
    assert night.run().returncode == 0
    assert night.sql("select name, rows_loaded, rows_rejected from load_file order by id") == [
        ("report_1.txt", 1, 0),
        ("report_2.txt", 1, 1),
    ]

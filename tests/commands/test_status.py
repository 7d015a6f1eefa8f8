"""status: one screen, and an exit status for a monitor. And no command reads a large table whole."""

import re

import psycopg2
import pytest
from psycopg2.extensions import adapt

from kit.night import Night
from kit.samples import line, report
from kit.servers import ROOT
from postgres.statements import query

QUESTIONS = sorted(
    f"commands/{path.stem}"
    for kind in ("monthly", "history", "explain", "status")
    for path in (ROOT / "sql" / "commands").glob(f"{kind}_*.sql")
)
ASKED = {
    "first": "2013-02-01", "end": "2013-03-01", "timezone": "America/Mexico_City", "nights": 14, "name": "report_7.txt",
    "email": "p7@example.com", "file_id": 7, "line_number": 7,
}  # fmt: skip
LARGE = """
insert into load_run (id, script, host, started_at, finished_at, as_of, visit_event, status, exit_status)
select 'run' || n, 'etl', 'h', timestamptz '2010-01-01' + n * interval '1 day', timestamptz '2010-01-01' + n * interval '1 day',
       '2013-02-15', 'envio', 'done', 0
from generate_series(1, 2000) n;
insert into load_file (run_id, name, sha256, bytes, source_mtime, status, name_reused, rows_read, rows_loaded, rows_rejected,
                       visitors_new, visitors_updated, first_seen_at, archive_name, archived_at, source_deleted_at)
select 'run' || 1 + n / 10, 'report_' || n || '.txt', encode(sha256(n::text::bytea), 'hex'), 1, now(),
       case when n % 50 = 0 then 'refused' else 'loaded' end, false, 0, 0, 0, 0, 0, now(), 'z' || n / 10 || '.zip', now(), now()
from generate_series(1, 19999) n;
insert into statistics (file_id, line_number, email, fecha_envio)
select n / 10, n % 10, 'p' || n % 50000 || '@example.com', '2013-02-08' from generate_series(1, 199999) n;
insert into visitor select 'p' || n || '@example.com', '2013-02-08', '2013-02-08', 4, 4, 4 from generate_series(0, 49999) n;
insert into visitor_basis values (true, '2013-02-15', 'envio');
insert into errors select n / 10, n % 10, '{email-invalid}', '', '' from generate_series(1, 199999) n;
insert into load_campaign select date '2010-01-01' + n / 10, n, 10, 1, 1, 1, 1, 1 from generate_series(1, 19999) n;
"""


def test_no_question_reads_a_large_table_whole(night: Night) -> None:
    """A table is large if it has a row for each line or each address."""
    night.sql(LARGE)
    night.sql("vacuum analyze")
    assert len(QUESTIONS) > 15
    for name in QUESTIONS:
        asked = re.sub(r"%\((\w+)\)s", lambda found: str(adapt(ASKED[found[1]])), query(name))
        plan = "\n".join(text for (text,) in night.sql("explain " + asked))
        assert not re.search(r"Seq Scan on (statistics|errors|visitor)\b", plan), f"{name}\n{plan}"


@pytest.mark.xdist_group("crontab")
def test_all_is_well(night: Night, crontab: None) -> None:
    for number in (1, 2):
        night.deliver(f"report_{number}.txt", report(line(f"a{number}@example.com")))
        assert night.run().returncode == 0
    night.deliver("report_3.txt", report(line()))
    done = night.run("status", TZ="UTC")
    assert done.returncode == 0, done.stdout
    for pattern in (
        r"last night +│ ok +│ \d{4}-\d\d-\d\d \d\d:\d\d: done in \d+\.\d s, 1 file, 1 line ",
        r"next night +│ ok +│ \d{4}-\d\d-\d\d 18:02",
        r"on the server +│ ok +│ 1 file, \d+ bytes",
        r"in the work directory +│ ok +│ 0 files, 0 bytes",
        r"lock +│ ok +│ free",
        r"last backup +│ ok +│ visitas_\S+\.zip of \d{4}-\d\d-\d\d \d\d:\d\d, \d+ bytes",
        r"last alert +│ ok +│ none yet",
        r"database +│ ok +│ [\d,]+ bytes, [+-][\d,]+ a night",
        r"Times are in America/Mexico_City\.",
    ):
        assert re.search(pattern, done.stdout), pattern
    assert "\x1b" not in done.stdout


def faults(night: Night, **changed: str) -> tuple[int, str]:
    """Return the exit status, and the lines that name a fault."""
    done = night.run("status", **changed)
    rows = [row for row in done.stdout.splitlines() if "FAULT" in row and "crontab" not in row and "cron is not" not in row]
    return done.returncode, "\n".join(rows)


def test_before_the_first_night(night: Night) -> None:
    status, said = faults(night)
    assert status == 3
    assert "no night yet" in said


def test_after_a_bad_night(night: Night) -> None:
    assert night.run(SFTP_PORT="1").returncode == 10
    status, said = faults(night)
    assert status == 10
    assert ": failed in " in said
    assert faults(night, SFTP_PORT="1")[1].count("FAULT") == 2


def test_after_a_killed_night(night: Night) -> None:
    assert night.run().returncode == 0
    night.sql("update load_run set status = 'running', exit_status = null, finished_at = null")  # as a kill leaves it
    status, said = faults(night)
    assert status == 1
    assert ": crashed, 0 files" in said


def test_cron_has_stopped(night: Night) -> None:
    assert night.run().returncode == 0
    night.sql("update load_run set started_at = started_at - interval '30 hours'")
    status, said = faults(night)
    assert status == 3
    assert "none for 30 hours" in " ".join(said.split())


def test_a_backup_is_gone(night: Night) -> None:
    night.deliver("report_1.txt", report(line()))
    assert night.run().returncode == 0
    for path in night.backups.glob("*.zip"):
        path.unlink()
    _, said = faults(night)
    assert "is not in" in said


def test_without_postgres(night: Night) -> None:
    status, said = faults(night, DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert status == 12
    assert said.count("FAULT") == 1  # one cause is told once
    assert night.run("status", DATABASE_URL="postgresql://127.0.0.1:1/x").stdout.count("unknown: see last night") == 4


def test_while_a_night_is_at_work(night: Night) -> None:
    with psycopg2.connect(night.settings["DATABASE_URL"]) as other, other.cursor() as cursor:
        cursor.execute(query("ledger/run_lock"))
        cursor.execute(
            "insert into load_run (id, script, host, started_at, as_of, visit_event)"
            " values ('x', 'etl', 'h', now() - interval '90 minutes', '2013-02-15', 'envio')"
        )
        other.commit()
        held = r"held by run x for 90 minutes, since \d{4}-\d\d-\d\d \d\d:\d\d"
        assert re.search(held, night.run("status").stdout)
        assert "held by run x for 90 minutes" in faults(night, LOCK_ALERT_HOURS="1")[1]
        other.rollback()

"""Bad input and broken surroundings: one clear sentence, the right status, and nothing lost."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from kit.night import Night
from kit.samples import HEADER, line, report
from kit.servers import ETL, PATIENCE, OpenSSH, Postgres, execute, free_port, wait_for

GOOD = report(line())


def ends(night: Night, status: int, *parts: str, script: str = "etl.sh", **changed: str) -> str:
    """Run the script and return its messages. It must end soon, with this status and these parts, without a traceback."""
    started = time.monotonic()
    done = night.run(script, **changed)
    assert time.monotonic() - started < PATIENCE  # below every RETRY_SECONDS here: the trouble was not tried again
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr + "".join(path.read_text() for path in night.logs.glob("*.log"))
    for part in parts:
        assert part in done.stderr
    assert "Hint: " in done.stderr
    return done.stderr


def nothing_lost(night: Night) -> None:
    """Run the night without the trouble: it must load the report."""
    done = night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert ("report_1.txt", "loaded") in night.statuses()


@pytest.fixture
def loaded_night(night: Night) -> Night:
    """A night with one good report on the server."""
    night.deliver("report_1.txt", GOOD)
    return night


def test_unknown_host_key(loaded_night: Night, openssh: OpenSSH, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    said = ends(loaded_night, 10, "the host key of 127.0.0.1 is unknown", SFTP_KNOWN_HOSTS=str(tmp_path / "empty"))
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", openssh.folder / "host_key.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert fingerprint in said
    line = (openssh.folder / "known_hosts").read_text().strip()
    assert f"add this line to {tmp_path}/empty: {line}" in said
    assert (loaded_night.source / "report_1.txt").exists()
    nothing_lost(loaded_night)


def test_changed_host_key(loaded_night: Night, openssh: OpenSSH, tmp_path: Path) -> None:
    other = (openssh.folder / "user_key.pub").read_text().split()[:2]
    (tmp_path / "other").write_text(f"[127.0.0.1]:{openssh.port} {' '.join(other)}\n")
    ends(loaded_night, 10, "has changed to ssh-ed25519 SHA256:", SFTP_KNOWN_HOSTS=str(tmp_path / "other"))
    nothing_lost(loaded_night)


def test_wrong_password(loaded_night: Night) -> None:
    said = ends(loaded_night, 10, "refuses the login of", SFTP_KEY_FILE="", SFTP_PASSWORD="hunter2", RETRY_SECONDS="400")
    assert "hunter2" not in said + (loaded_night.logs / "extract.log").read_text()
    nothing_lost(loaded_night)


def test_unusable_key(loaded_night: Night, tmp_path: Path) -> None:
    ends(loaded_night, 2, "SFTP_KEY_FILE", script="extract.py", SFTP_KEY_FILE=str(tmp_path / "nothing"))
    nothing_lost(loaded_night)


def test_known_hosts_that_cannot_be_used(loaded_night: Night, tmp_path: Path) -> None:
    (path := tmp_path / "folder").mkdir()
    ends(loaded_night, 2, f"SFTP_KNOWN_HOSTS {path} cannot be read", script="extract.py", SFTP_KNOWN_HOSTS=str(path))
    nothing_lost(loaded_night)


@pytest.mark.parametrize("name", [b"report_\xf1.txt", b"junk\xff"])
def test_a_remote_name_that_is_not_utf8(loaded_night: Night, name: bytes) -> None:
    (Path(os.fsdecode(bytes(loaded_night.source) + b"/" + name))).write_bytes(GOOD)
    done = loaded_night.run()
    assert done.returncode == (3 if name.startswith(b"report_") else 0), done.stderr
    assert ("refused by name: report_\\xf1.txt" in done.stderr) == name.startswith(b"report_")
    assert loaded_night.statuses() == [("report_1.txt", "loaded")]


@pytest.mark.root("give a folder the attribute that keeps every user, root too, from deleting in it")
def test_a_file_that_cannot_be_deleted_holds_up_no_other(loaded_night: Night) -> None:
    stuck = loaded_night.source / "report_1.txt"
    loaded_night.deliver("report_2.txt", report(line("bea@example.com")))
    if subprocess.run(["chattr", "+i", stuck], check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        ends(loaded_night, 10, "report_1.txt")
        assert [path.name for path in loaded_night.source.iterdir()] == ["report_1.txt"]
        assert loaded_night.left_in_work()[0] == "report_1.txt"
    finally:
        subprocess.run(["chattr", "-i", stuck], check=True)
    nothing_lost(loaded_night)
    assert loaded_night.left_in_work() == []
    assert len(loaded_night.statuses()) == 2


def test_no_such_remote_folder(loaded_night: Night) -> None:
    ends(loaded_night, 10, "the remote folder /nowhere cannot be listed: No such file", SFTP_REMOTE_DIR="/nowhere")
    nothing_lost(loaded_night)


def test_unreachable_host(loaded_night: Night) -> None:
    port = str(free_port())
    ends(loaded_night, 10, f"the SFTP server 127.0.0.1:{port} cannot be reached", SFTP_PORT=port)
    nothing_lost(loaded_night)


def test_missing_and_misspelt_settings(loaded_night: Night) -> None:
    said = ends(loaded_night, 2, "SFTP_HOST is missing", "SFTP_PROT is no setting", SFTP_HOST="", SFTP_PROT="22")
    assert said.count("\n") == 1
    nothing_lost(loaded_night)


def test_database_down(loaded_night: Night) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/visitas"
    said = ends(loaded_night, 12, "Postgres does not answer", DATABASE_URL=url)
    assert said.startswith("load: ")
    assert "report_1.txt" in loaded_night.left_in_work()
    assert (loaded_night.source / "report_1.txt").exists()
    nothing_lost(loaded_night)
    assert loaded_night.statuses() == [("report_1.txt", "loaded")]


def test_database_without_the_schema(loaded_night: Night, postgres: Postgres) -> None:
    ends(loaded_night, 12, "the database lacks the schema", "make postgres-setup", DATABASE_URL=postgres.url, RETRY_SECONDS="400")
    nothing_lost(loaded_night)


def test_database_that_is_not_there(loaded_night: Night, postgres: Postgres) -> None:
    url = postgres.address("nowhere")
    ends(loaded_night, 12, 'database "nowhere" does not exist', DATABASE_URL=url, RETRY_SECONDS="400")
    nothing_lost(loaded_night)


def test_work_directory_is_a_link(loaded_night: Night, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    loaded_night.work.symlink_to(tmp_path / "elsewhere")
    ends(loaded_night, 13, f"WORK_DIR {loaded_night.work} is a link")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    loaded_night.work.unlink()
    nothing_lost(loaded_night)


@pytest.mark.root("give a folder away")
def test_work_directory_of_another_user(loaded_night: Night) -> None:
    loaded_night.work.mkdir()
    os.chown(loaded_night.work, 12345, 12345)
    ends(loaded_night, 13, "belongs to another user (id 12345)")
    os.chown(loaded_night.work, 0, 0)
    nothing_lost(loaded_night)


def test_work_directory_is_private(loaded_night: Night) -> None:
    nothing_lost(loaded_night)
    assert loaded_night.work.stat().st_mode & 0o777 == 0o700
    (archive,) = loaded_night.backups.iterdir()
    assert archive.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"", "empty"),
        (b"id,name,price\r\n1,x,2\r\n", "3 columns, not 15; no email at 1, Badmail at 3 and 12 more"),
        (b"\r\n" + GOOD, "empty"),
    ],
)
def test_not_a_report(loaded_night: Night, content: bytes, header: str) -> None:
    loaded_night.deliver("report_2.txt", content)
    ends(loaded_night, 3, "report_2.txt is refused")
    assert loaded_night.statuses() == [("report_1.txt", "loaded"), ("report_2.txt", "refused")]
    ((number, codes, message),) = loaded_night.sql("select line_number, codes, message from errors where file_id = 2")
    assert (number, codes) == (1, ["layout-header"])
    assert f'"{header}"' in message
    assert list(loaded_night.source.iterdir()) == []
    assert loaded_night.run().returncode == 0


def test_no_final_newline(night: Night) -> None:
    night.deliver("report_1.txt", report(line("ana@example.com"), line("bea@example.com")).rstrip())
    nothing_lost(night)
    assert night.sql("select rows_read, rows_loaded from load_file") == [(2, 2)]


def test_blank_lines_do_not_count(night: Night) -> None:
    night.deliver("report_1.txt", HEADER + b"\r\n \t\r\n" + line() + b"\n\n")
    nothing_lost(night)
    assert night.sql("select rows_read, (select line_number from statistics) from load_file") == [(1, 4)]


def test_a_line_of_one_gigabyte(night: Night) -> None:
    night.work.mkdir(mode=0o700)
    with (night.work / "report_1.txt").open("wb") as file:
        file.write(HEADER + b"x,")
        file.seek(1 << 30, os.SEEK_CUR)  # a hole: gigabytes that take no room on the disk
        file.write(b"\r\n" + line())
    memory = 512 << 20
    subprocess.run(
        [sys.executable, str(ETL / "transform.py")],
        env=night.environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        check=True,
    )
    assert night.run("load.py").returncode == 0
    assert night.sql("select rows_read, rows_loaded, rows_rejected from load_file") == [(2, 1, 1)]
    ((codes, length),) = night.sql("select codes, length(raw_line) from errors")
    assert codes == ["layout-columns"]
    assert length == 64 << 10


def test_a_file_that_shrinks_while_it_is_read(night: Night) -> None:
    path = night.source / "report_1.txt"
    with path.open("wb") as file:
        file.truncate(300 << 20)

    def shrink() -> None:
        part = night.work / ".report_1.txt.part"
        wait_for(lambda: part.exists() and part.stat().st_size)
        path.write_bytes(GOOD)

    thread = threading.Thread(target=shrink)
    thread.start()
    done = night.run("extract.py")
    thread.join()
    assert done.returncode == 0
    assert "left report_1.txt for the next run: the server said 314572800 bytes" in done.stderr
    assert night.left_in_work() == []
    nothing_lost(night)


def test_a_file_still_being_written(night: Night) -> None:
    path = night.deliver("report_1.txt", GOOD)
    assert night.run(MIN_AGE_SECONDS="60").returncode == 0
    assert path.exists()
    assert night.statuses() == []
    os.utime(path, (time.time() - 61,) * 2)
    assert night.run(MIN_AGE_SECONDS="60").returncode == 0
    assert night.statuses() == [("report_1.txt", "loaded")]


def test_files_are_taken_in_natural_order(night: Night) -> None:
    for number in (10, 9, 2):
        night.deliver(f"report_{number}.txt", report(line(f"a{number}@example.com")))
    night.deliver("summary_1.txt", b"not for us")
    (night.source / "report_11.txt").mkdir()
    done = night.run()
    assert done.returncode == 3
    assert "no file, though its name matches REPORT_PATTERN: report_11.txt" in done.stderr
    assert [name for name, _ in night.statuses()] == ["report_2.txt", "report_9.txt", "report_10.txt"]
    assert (night.source / "summary_1.txt").exists()


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), Path.unlink])
def test_damaged_staged_files_are_noticed_and_made_again(loaded_night: Night, damage: Callable[[Path], object]) -> None:
    for stage in ("extract.py", "transform.py"):
        assert loaded_night.run(stage).returncode == 0
    damage(loaded_night.work / "staged" / "report_1.txt.statistics.csv")
    ends(loaded_night, 13, "the files staged from report_1.txt are damaged", script="load.py")
    assert loaded_night.statuses() == []
    nothing_lost(loaded_night)


def test_a_torn_manifest_is_made_again(loaded_night: Night) -> None:
    for stage in ("extract.py", "transform.py"):
        assert loaded_night.run(stage).returncode == 0
    (loaded_night.work / "staged" / "report_1.txt.manifest.json").write_bytes(b"{")
    nothing_lost(loaded_night)


def test_a_failed_stage_counts_more_than_a_refused_file(loaded_night: Night) -> None:
    (loaded_night.source / ("report_" + "x" * 230 + ".txt")).write_bytes(GOOD)
    ends(loaded_night, 12, "refused by name", DATABASE_URL="postgresql://127.0.0.1:1/visitas")


def test_other_files_in_the_work_directory_are_left_alone(loaded_night: Night) -> None:
    loaded_night.work.mkdir(mode=0o700)
    (loaded_night.work / "thesis.docx").write_bytes(b"precious")
    nothing_lost(loaded_night)
    assert (loaded_night.work / "thesis.docx").read_bytes() == b"precious"


def test_second_run_touches_nothing(loaded_night: Night) -> None:
    database = loaded_night.settings["DATABASE_URL"]
    stop = "create function stop() returns trigger language plpgsql as"
    execute(database, f"{stop} 'begin perform pg_advisory_xact_lock(42); return new; end'")
    execute(database, "create trigger stop before insert on load_file for each row execute function stop()")
    gate = psycopg2.connect(database)
    gate.cursor().execute("select pg_advisory_lock(42)")
    first = subprocess.Popen(["bash", str(ETL / "etl.sh")], env=loaded_night.environment(), stderr=subprocess.PIPE)
    waiting = "select 1 from pg_stat_activity where wait_event = 'advisory' and datname = current_database()"
    wait_for(lambda: execute(database, waiting))
    before = loaded_night.left_in_work()
    ends(loaded_night, 11, "another run is at work")
    ends(loaded_night, 11, "another run is at work", script="load.py")
    other_host = {"WORK_DIR": str(loaded_night.folder / "other")}
    ends(loaded_night, 11, "another run is at work: run on host", **other_host)
    assert loaded_night.left_in_work() == before
    assert [path.name for path in (loaded_night.folder / "other").rglob("*") if path.is_file()] == [".lock"]
    gate.close()
    assert first.communicate(timeout=PATIENCE)[1] == b""
    assert first.returncode == 0
    assert loaded_night.sql("select status from load_run") == [("done",)]
    assert loaded_night.statuses() == [("report_1.txt", "loaded")]

"""Who hears what: every severity through etl.sh to real mail and web servers. No channel can harm the run."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from html import unescape
from pathlib import Path

import psutil
import psycopg2
import pytest

from kit.night import Night
from kit.receivers import MailSink, WebSink, certificate, mail_sink, web_sink
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, ROOT, need, wait_for
from notices import alerts

REFUSED = b"id,name\r\n1,x\r\n"


class Told(Night):
    """A night with every channel set."""

    mail: MailSink
    slack: WebSink
    switch: WebSink

    @property
    def metrics(self) -> dict[str, float]:
        """Return the last run's metrics, by name and label."""
        lines = (self.folder / "metrics" / "visitas.prom").read_text().splitlines()
        return {name: float(value) for name, _, value in (text.rpartition(" ") for text in lines if text[0] != "#")}

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.mail.received]

    def said(self) -> list[str]:
        """Return the texts of all messages to Slack."""
        return [request.json["blocks"][0]["text"]["text"] for request in self.slack.received]


@pytest.fixture
def told(night: Night) -> Iterator[Told]:
    with mail_sink() as (mail, settings), web_sink() as slack, web_sink() as switch:
        night.__class__ = Told
        assert isinstance(night, Told)
        night.settings |= settings | {
            "SLACK_WEBHOOK_URL": f"{slack.url}/services/SECRET-HOOK",
            "HEALTHCHECK_URL": f"{switch.url}/SECRET-PING",
            "METRICS_FILE": str(night.folder / "metrics" / "visitas.prom"),
        }
        night.mail, night.slack, night.switch = mail, slack, switch
        yield night


def plain(message: EmailMessage) -> str:
    """Return the text part of a mail."""
    part = message.get_body(("plain",))
    assert part
    return str(part.get_content()).replace("\r\n", "\n")


def html(message: EmailMessage) -> str:
    """Return the HTML part of a mail."""
    part = message.get_body(("html",))
    assert part
    return str(part.get_content())


def test_a_good_night_wakes_nobody(told: Told) -> None:
    told.deliver("report_1.txt", report(line()))
    done = told.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (told.mail.received, told.slack.received) == ([], [])
    assert told.switch.paths() == ["/SECRET-PING/start", "/SECRET-PING/0"]
    assert len({request.path.partition("?rid=")[2] for request in told.switch.received}) == 1
    found = told.metrics
    assert (found["visitas_exit_status"], found['visitas_files{status="loaded"}']) == (0, 1)
    assert found["visitas_last_success_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert found['visitas_stage_duration_seconds{stage="load"}'] > 0
    assert (told.folder / "metrics" / "visitas.prom").stat().st_mode & 0o777 == 0o644
    assert (told.folder / "metrics").stat().st_mode & 0o777 == 0o755  # node_exporter is another user


def test_a_good_night_is_mailed_if_asked_for(told: Told) -> None:
    told.deliver("report_1.txt", report(line(), b"x,,\r\n"))
    assert told.run(MAIL_ON_SUCCESS="true").returncode == 0
    assert told.subjects() == ["[visitas] OK: 1 of 1 file loaded, 1 of 2 lines"]
    assert told.slack.received == []


def test_a_warning(told: Told) -> None:
    told.deliver("report_1.txt", report(line(), line("ana", envio="-"), b"x,,\r\n"))
    told.deliver("report_3.txt", REFUSED)
    done = told.run()
    assert done.returncode == 3
    assert told.subjects() == ["[visitas] WARNING: 1 of 2 files loaded, 1 refused, 1 of 3 lines"]
    (message,) = told.mail.received
    text = plain(message)
    for expected in (
        "* load: report_3.txt is refused: the file is empty, or its first line is not the header. Hint:",
        "* load: missing in the consecutive numbers: report_2.txt.",
        "Files on the server:        2 = 2 pulled\n",
        "Files decided on:           2 = 1 loaded, 0 duplicate, 1 refused, 0 quarantined\n",
        "Lines read:                 3 = 1 loaded + 2 rejected\n",
        "Visitors:                   1 new, 0 updated\n",
        "Done with and cleared away: 2 files\n",
        "Left in the work directory: 0 files\n",
        "email-invalid            1  report_1.txt (1)\n",
    ):
        assert expected in text
        assert expected.partition("  ")[0].partition(":")[0].strip("* ") in html(message)
    assert re.search(r"Zip: +visitas_\S+\.zip, 2 files, [\d,]+ bytes\n", text)
    (said,) = told.said()
    assert said.startswith("*WARNING*: 1 of 2 files loaded")
    assert ":warning: load: report_3.txt is refused: the file is empty" in said
    assert told.switch.paths()[-1] == "/SECRET-PING/0"


SAMPLE_DIGEST = """\
WARNING: 3 of 4 files loaded, 1 refused, 1,031 of 1,040 lines

* load: report_11.txt is refused: the file is empty, or its first line is not the header. \
Hint: ask the sender; make rejects ID=4 shows that line.
* load: missing in the consecutive numbers: report_9.txt. Hint: ask the sender; each is named once.

Files on the server:        4 = 4 pulled
Files decided on:           4 = 3 loaded, 0 duplicate, 1 refused, 0 quarantined
Lines read:                 1,040 = 1,031 loaded + 9 rejected
Visitors:                   997 new, 31 updated
Zip:                        visitas_#.zip, 4 files, # bytes
Done with and cleared away: 4 files
Left in the work directory: 0 files

Rejected lines by code, with the worst files:
email-invalid            3  report_10.txt (3)
date-invalid             2  report_10.txt (2)
layout-columns           2  report_10.txt (2)
date-missing             1  report_10.txt (1)
encoding                 1  report_10.txt (1)
layout-header            1  report_11.txt (1)
number-invalid           1  report_10.txt (1)

etl         status 3 # s
extract     status 0 # s
transform   status 0 # s
load        status 3 # s
archive     status 0 # s

Run # on HOST. Logs: LOGS
"""


def unvaried(text: str, night: Night) -> str:
    """Return the text with # for everything that differs from run to run."""
    text = text.replace(str(night.logs), "LOGS").replace(socket.gethostname(), "HOST")
    text = re.sub(r"\d{8}T\d{6}Z-\d+|(?<=visitas_)[\d_-]+|[\d,]+(?= bytes)", "#", text)
    return re.sub(r" *[\d.]+ s\b", " # s", text)


def words(page: str) -> list[str]:
    """Return the words that a reader of the page sees."""
    body = page.partition("<body")[2].partition(">")[2]
    return unescape(re.sub(r"<[^>]*>", " ", body)).split()


def test_the_digest_as_a_whole(told: Told) -> None:
    for name in ("report_7.txt", "report_8.txt", "report_10.txt"):
        told.deliver(name, ROOT / "sftp-server" / "data-backup" / name)
    told.deliver("report_11.txt", REFUSED)
    assert told.run().returncode == 3
    (message,) = told.mail.received
    assert unvaried(plain(message), told) == SAMPLE_DIGEST
    expected = SAMPLE_DIGEST.replace("Rejected lines by code, with the worst files:", "Rejected lines code lines worst files")
    expected = expected.replace("\netl ", "\nStages etl ").replace("* load", "load").replace("WARNING:", "WARNING")
    expected = re.sub(r"^([A-Z][a-z ]+): +", r"\1 ", expected, flags=re.MULTILINE)
    assert words(unvaried(html(message), told)) == expected.split()


@pytest.mark.parametrize("width", [400, 1400])
def test_the_mail_in_a_browser(told: Told, width: int) -> None:
    chromium = need("chromium")
    told.deliver("report_1.txt", REFUSED)
    told.run()
    page = told.folder / "mail.html"
    measure = "<script>document.title = document.documentElement.scrollWidth + ' ' + innerWidth</script>"
    page.write_text(html(told.mail.received[0]).replace("</body>", f"{measure}</body>"))
    assert not re.search(r"https?:|src=|url\(", html(told.mail.received[0]))  # the mail loads nothing
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    found = re.search(r"<title>(\d+) (\d+)</title>", shown)
    assert found
    assert int(found[1]) <= int(found[2])  # no scrolling sideways
    assert "report_1.txt is refused" in shown


def test_postgres_gone(told: Told) -> None:
    told.deliver("report_1.txt", report(line()))
    assert told.run(DATABASE_URL="postgresql://127.0.0.1:1/x").returncode == 12
    (subject,) = told.subjects()
    assert subject.startswith("[visitas] FAILED: load: Postgres does not answer")
    assert "Left in the work directory: 1 file\n" in plain(told.mail.received[0])
    told.mail.received.clear()
    assert told.run(DATABASE_URL="postgresql://127.0.0.1:1/x").returncode == 12
    assert "Files on the server:        1 = 0 pulled + 1 pulled before\n" in plain(told.mail.received[0])
    assert told.said()[0].startswith("*FAILED*: load: Postgres does not answer")
    assert told.switch.paths()[-1] == "/SECRET-PING/12"
    assert told.metrics["visitas_exit_status"] == 12
    assert "visitas_last_success_timestamp_seconds" not in told.metrics


def test_broken_settings(told: Told) -> None:
    assert told.run(MIN_AGE_SECONDS="soon", SFTP_HOTS="x", MAIL_ON_SUCCESS="perhaps").returncode == 2
    (subject,) = told.subjects()
    assert subject.startswith("[visitas] FAILED: etl: 3 problems in the settings: SFTP_HOTS is no setting")
    assert told.switch.paths() == ["/SECRET-PING/2"]


def descendant(pid: int, script: str) -> int:
    """Wait for a script somewhere below a process and return its process id."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if str(ETL / script) in process.cmdline():
                    return process.pid
    pytest.fail(f"{script} never ran")


@contextmanager
def under_way(told: Told, script: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a night; yield it and the process id of one of its scripts."""
    command = ["bash", str(ETL / "etl.sh")]
    with subprocess.Popen(command, env=told.environment(), stderr=subprocess.PIPE, text=True) as run:
        yield run, descendant(run.pid, script)
        run.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("script", ["transform.py", "night.py"])
def test_killed(told: Told, script: str) -> None:
    told.deliver("report_1.txt", report(line()))
    with under_way(told, script) as (run, process):
        if script == "night.py":
            wait_for(lambda: told.sql("select 1 from load_run where status = 'running'"))
        os.kill(process, signal.SIGKILL)
    assert run.returncode == 137
    (subject,) = told.subjects()
    assert subject.startswith("[visitas] FAILED: ")
    said = "etl: night.py was killed" if script == "night.py" else "transform: killed by signal 9"
    assert f"! {said}" in plain(told.mail.received[0])
    assert told.switch.paths()[-1] == "/SECRET-PING/137"


def test_the_same_failure_is_one_growing_alert_until_it_recovers(told: Told) -> None:
    gone = "postgresql://127.0.0.1:1/x"
    for _ in range(2):
        assert told.run(DATABASE_URL=gone).returncode == 12
    state = told.logs / "alerts.json"
    for days in (1, 2, 3):
        kept = json.loads(state.read_text())
        state.write_text(
            json.dumps(kept | {"last_night": str((datetime.now(UTC) - timedelta(days=1)).date() - timedelta(days=days))})
        )
        assert told.run(DATABASE_URL=gone).returncode == 12
    starts = [subject.partition(": ")[0] for subject in told.subjects()]
    first = "[visitas] FAILED"
    assert starts == [first, first, f"{first}, 2nd night", f"{first}, 3rd night", f"{first}, 4th night"]
    assert told.run().returncode == 0
    assert told.subjects()[-1] == "[visitas] OK, recovered after 4 failed nights: nothing new"
    assert told.said()[-1].startswith("*OK, recovered after 4 failed nights*")
    assert told.run().returncode == 0
    assert len(told.subjects()) == 6


def test_a_lock_is_nobodys_concern_until_it_is_held_for_long(told: Told) -> None:
    told.work.mkdir(mode=0o700)
    since = datetime.now(UTC) - timedelta(hours=5)
    lock = told.work / ".lock"
    lock.write_text(f"run {since:%Y%m%dT%H%M%SZ}-1")
    with subprocess.Popen(["flock", str(lock), "sleep", "600"]) as holder:
        wait_for(lambda: subprocess.run(["flock", "--nonblock", str(lock), "true"], check=False).returncode)
        assert told.run().returncode == 11
        assert (told.mail.received, told.slack.received, told.switch.received) == ([], [], [])
        assert told.run(LOCK_ALERT_HOURS="4").returncode == 11
        assert "! the lock has been held for 5 hours." in plain(told.mail.received[0])
        assert told.switch.paths() == ["/SECRET-PING/11"]
        subprocess.run(["pkill", "-P", str(holder.pid)], check=True)


def test_a_night_of_a_thousand_warnings(told: Told) -> None:
    for number in range(60):
        told.deliver(f"report_{number}.txt", REFUSED + str(number).encode())
    assert told.run().returncode == 3
    assert "* and 40 more; the logs have them all\n" in plain(told.mail.received[0])
    assert len(told.said()[0]) <= 3000  # Slack's limit


@pytest.fixture
def new_installation(tmp_path: Path) -> Iterator[None]:
    """Move the alerts of this installation's log folder aside, and back afterwards."""
    state, aside = ROOT / "logs" / alerts.NAME, tmp_path / alerts.NAME
    if known := state.exists():
        shutil.move(state, aside)
    yield
    state.unlink(missing_ok=True)
    if known:
        shutil.move(aside, state)


@pytest.mark.xdist_group("logs of this installation")
@pytest.mark.usefixtures("new_installation")
@pytest.mark.parametrize("folder", ["/proc/logs", "~nobody-here/logs"])
def test_a_log_folder_that_cannot_be_written(told: Told, folder: str) -> None:
    assert told.run(LOG_DIR=folder).returncode == (2 if folder[0] == "~" else 13)
    (subject,) = told.subjects()
    assert subject.startswith("[visitas] FAILED: etl: ")
    assert told.metrics["visitas_exit_status"] in (2, 13)


def test_settings_in_small_letters_or_bad_bytes(told: Told) -> None:
    (told.folder / "env").write_bytes(b"sftp_port=abc\n# \xf1\n")
    assert told.run(ENV_FILE=str(told.folder / "env")).returncode == 2
    assert told.subjects()[0].startswith("[visitas] FAILED: etl: ")


def test_terminated(told: Told) -> None:
    told.deliver("report_1.txt", report(line()))
    with under_way(told, "transform.py") as (run, _):
        run.terminate()
    assert run.returncode == 143
    assert told.subjects() == ["[visitas] FAILED: exit status 143"]
    assert told.switch.paths()[-1] == "/SECRET-PING/143"
    assert told.statuses() == [("report_1.txt", "loaded")]  # every stage still ran


@pytest.mark.parametrize(
    ("name", "holder"),
    [("visitas-etl", "another run is at work: run"), ("psql", r"the run lock is held by a session of role \w+")],
)
@pytest.mark.parametrize(("hours", "held"), [(5, None), (25, "25 hours"), (None, "an unknown time")])
def test_a_holder_of_the_lock_that_the_load_log_does_not_know(
    told: Told, name: str, holder: str, hours: int | None, held: str | None
) -> None:
    """It may be another host's run that has just ended. It may be anybody, for ever: so it counts from the last good run on."""
    if hours is not None:
        told.logs.mkdir()
        alerts.Alerts(last_success=time.time() - hours * 3600).write(told.logs)
    with closing(psycopg2.connect(told.settings["DATABASE_URL"], application_name=name)) as other, other.cursor() as cursor:
        cursor.execute((ROOT / "sql" / "ledger" / "run_lock.sql").read_text())
        done = told.run()
    assert done.returncode == 11
    assert re.search(holder + r" on host [0-9.a-z]+, Postgres process \d+\.", done.stderr)
    assert [f"! the lock has been held for {held}." in plain(message) for message in told.mail.received] == [True] * bool(held)
    assert len(told.slack.received) == bool(held)


def test_help_tells_nobody(told: Told) -> None:
    assert told.run("etl.sh", "--help").returncode == 0
    assert (told.mail.received, told.switch.received) == ([], [])


def test_no_report_for_too_long(told: Told) -> None:
    told.deliver("report_1.txt", report(line()))
    assert told.run(EXPECT_FILES_WITHIN_DAYS="2").returncode == 0
    told.sql("update load_file set first_seen_at = now() - interval '3 days'")
    assert told.run(EXPECT_FILES_WITHIN_DAYS="2").returncode == 0
    assert "* no report has come for 3 days." in plain(told.mail.received[-1])
    assert len(told.mail.received) == 1


@pytest.mark.long
@pytest.mark.parametrize("rows", [3, 40])
def test_a_volume_far_from_the_usual(told: Told, rows: int) -> None:
    for number, count in enumerate((12, 10, 14, rows), 1):
        told.deliver(f"report_{number}.txt", report(*(line(f"p{number}_{one}@example.com") for one in range(count))))
        assert told.run().returncode == 0
    assert f"* {rows} lines came; the usual is 12" in plain(told.mail.received[-1])
    assert len(told.mail.received) == 1


def test_dead_channels_change_nothing(told: Told) -> None:
    told.mail.answer = "554 not now"
    told.slack.answers = [500] * 9
    told.switch.answers = [500] * 9
    told.deliver("report_1.txt", REFUSED)
    done = told.run()
    assert done.returncode == 3
    assert "e-mail was not reached: the mail server says 554 not now" in done.stderr
    assert "Slack was not reached: Slack answers 500" in done.stderr
    assert told.metrics['visitas_channel_unreached{channel="Slack"}'] == 1
    assert told.statuses() == [("report_1.txt", "refused")]
    told.mail.answer = "250 OK"
    told.slack.answers, told.switch.answers = [], []
    assert told.run().returncode == 0
    assert "* Slack was not reached the last time: Slack answers 500" in plain(told.mail.received[0])
    assert "SECRET" not in plain(told.mail.received[0])


def test_a_switch_that_did_not_hear_of_the_start(told: Told) -> None:
    told.switch.answers = [404]
    assert told.run().returncode == 0
    assert "etl: dead-man's switch was not reached at the start" in plain(told.mail.received[0])
    assert told.switch.paths() == ["/SECRET-PING/start", "/SECRET-PING/0"]


def test_busy_channels_are_tried_again(told: Told) -> None:
    told.slack.answers, told.switch.answers = [429, 429], [200, 503, 429]
    told.deliver("report_1.txt", REFUSED)
    assert told.run().returncode == 3
    assert len(told.slack.received) == 3
    assert told.switch.paths() == ["/SECRET-PING/start"] + ["/SECRET-PING/0"] * 3


@pytest.mark.parametrize("login", [None, ("etl", "SECRET-PASSWORD")])
def test_mail_over_tls(night: Night, tmp_path: Path, login: tuple[str, str] | None) -> None:
    night.deliver("report_1.txt", REFUSED)
    with mail_sink(certificate(tmp_path), login) as (sink, settings):
        done = night.run(**settings)
        assert (done.returncode, sink.secured) == (3, [True])
        refused = night.run(**settings | {"SMTP_PASSWORD": "SECRET-WRONG", "MAIL_ON_SUCCESS": "true"})
        if login:
            assert "e-mail was not reached: the mail server says 535" in refused.stderr
            assert "SECRET" not in refused.stderr
        untrusted = night.run(**settings | {"SMTP_CA_FILE": "", "MAIL_ON_SUCCESS": "true"})
        assert "CERTIFICATE_VERIFY_FAILED" in untrusted.stderr
        assert untrusted.returncode == 0


def test_nothing_private_leaves_the_process(told: Told) -> None:
    told.settings["SMTP_PASSWORD"] = "SECRET-PASSWORD"
    people = ("ana.hidden@example.com", "hidden bea@example.com", "carla@hidden@example.com")
    told.deliver("report_1.txt", report(line(people[0]), line(people[1]), line(people[2], envio="31/02/2013 10:00")))
    told.deliver("report_9_dora.hidden@example.com.txt", REFUSED)
    done = told.run()
    assert done.returncode == 3
    sent = [str(message) + plain(message) + html(message) for message in told.mail.received]
    sent += [request.body for sink in (told.slack, told.switch) for request in sink.received]
    sent += [path.read_text() for path in (*told.logs.iterdir(), told.folder / "metrics" / "visitas.prom")]
    sent += [done.stdout, done.stderr]
    assert sent
    for text in sent:
        assert "hidden" not in text
        assert "SECRET" not in text


def test_json_logs(told: Told) -> None:
    told.deliver("report_1.txt", report(line()))
    assert told.run(LOG_FORMAT="json").returncode == 0
    for stage in ("extract", "transform", "load", "archive", "etl"):
        found = [json.loads(text) for text in (told.logs / f"{stage}.log").read_text().splitlines()]
        assert {record["stage"] for record in found} <= {stage, "notify"}
        assert len({record["run"] for record in found}) == 1
        assert all(datetime.fromisoformat(record["time"]).tzinfo for record in found)
    assert found[-1]["level"] == "INFO"


def test_notify_test(told: Told) -> None:
    done = told.run("try-channels")
    assert done.returncode == 0
    assert done.stdout.count("delivered") == 3
    assert told.subjects() == ["[visitas] TEST: this is a test message"]
    assert told.switch.paths() == ["/SECRET-PING/log"]
    told.slack.answers = [404]
    done = told.run("try-channels")
    assert done.returncode == 2
    assert "Slack answers 404" in done.stdout


def test_notify_test_without_channels(night: Night) -> None:
    done = night.run("try-channels")
    assert done.returncode == 2
    assert "No channel is set" in done.stdout

"""Tell people how a run ended: called by etl.sh as it exits, whatever happened. Changes neither data nor exit status."""

import argparse
import logging
import math
import os
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path

from base.run import Run
from base.settings import Settings, load_sound
from base.trouble import StageError, Status
from base.workdir import report_names
from notices import channels
from notices.alerts import Alerts
from notices.channels import Channel, Notice
from notices.digest import Digest, Severity, gather
from notices.journal import JOURNAL, Journal
from notices.notice import render
from postgres.database import Database, one
from runtime import logs

PATIENCE = 30  # seconds that Postgres gets to answer

log = logging.getLogger("etl.notify")


def main() -> None:
    """Read the exit status from the command line and tell whom it concerns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("status", type=int, help="exit status of the run")
    status = parser.parse_args().status
    logs.to_stderr("notify")
    os.umask(0o077)
    os.environ["RETRY_SECONDS"] = "0"
    run = Run.current("etl")
    settings = load_sound()
    with suppress(OSError):
        logs.to_file(settings, "etl", run.id, logs.Lenient)
    try:
        notify(run, status, settings)
    except Exception:
        log.exception("a bug: please report this traceback")
        text = f"exit status {status}; the digest itself failed, see {settings.log_dir}/etl.log"
        notice = Notice(f"[visitas] FAILED: {text}", text + "\n", f"<p>{escape(text)}</p>", text)
        channels.tell(wanted(Severity.FAILED, status or Status.BUG, notice, run, settings))


def notify(run: Run, status: int, settings: Settings) -> None:
    """Tell of a run through every channel that is set, and remember what was told."""
    path = os.environ.get(JOURNAL)
    journal = Journal.read(Path(path or os.devnull))
    if path and status == Status.DONE and not journal.ended:
        return  # etl.sh --help, say: there was no run
    began = {stage for stage, *_ in journal.ended} - {"etl"}
    hours = hours_held(run, settings) if status == Status.LOCKED and not began else None
    if hours is not None and hours < settings.lock_alert_hours:
        log.info("told nobody: another run has been at work for hours=%.1f", hours)
        return
    alerts = Alerts.read(settings.log_dir)
    digest = replace(look(run, status, journal, settings), unreached=alerts.unreached, hours_locked=hours)
    recovered = digest.severity is not Severity.FAILED and alerts.nights > 0
    notice = render(digest, heading(digest, alerts, settings), settings)
    concern = Severity.WARNING if recovered and digest.severity is Severity.OK else digest.severity
    told = channels.tell(wanted(concern, status, notice, run, settings))
    for name, why in told.items():
        if why:
            log.error("%s was not reached: %s. Hint: make notify-test tries it again.", name, why)
        else:
            log.info("told channel=%s severity=%s", name, digest.severity)
    try:
        remember(digest, notice, alerts, told, settings)
    except OSError as error:
        log.error("%s: %s. Hint: what people were told is not remembered.", error.filename, error.strerror)
    if settings.metrics_file:
        from notices import metrics  # noqa: PLC0415 - only who wants them waits for their import

        try:
            metrics.write(digest, alerts, settings.metrics_file)
        except OSError as error:
            log.error("METRICS_FILE %s: %s. Hint: mend the rights there.", settings.metrics_file, error.strerror)


def hours_held(run: Run, settings: Settings) -> float:
    """Return for how long another run has held the lock, 0 if it has just ended; infinite if nobody knows."""
    with suppress(OSError, ValueError):
        holder = (settings.work_dir / ".lock").read_text().removeprefix("run ").strip()
        if holder != run.id:  # else this host's lock was ours, and another host has the one in Postgres
            return (datetime.now(UTC) - Run(holder, "etl").started_at).total_seconds() / 3600
    with suppress(StageError), Database(settings, PATIENCE).transaction() as cursor:
        row = one(cursor, "ledger/run_held", {"run_id": run.id})
        return float(row[1]) / 3600 if row else 0
    return math.inf


def look(run: Run, status: int, journal: Journal, settings: Settings) -> Digest:
    """Return the digest of a run, with as many facts as can be had."""
    database = Database(settings, PATIENCE)
    loaded, waiting = None, None
    try:
        with database.transaction() as cursor:
            loaded = gather(cursor, run.id)
    except StageError as error:
        log.info("telling without the load log: %s", error)
    database.close()
    with suppress(OSError):
        waiting = len(list(report_names(settings.work_dir, settings.report_pattern)))
    return Digest(run.id, status, journal, loaded, waiting, settings.expect_files_within_days)


def heading(digest: Digest, alerts: Alerts, settings: Settings) -> str:
    """Return how grave it is in a word, and how it goes on from the nights before."""
    if digest.severity is Severity.FAILED:
        nights = alerts.fail(digest.status, settings.now().date())
        return "FAILED" + (f", {ordinal(nights)} night" if nights > 1 else "")
    word = "WARNING" if digest.severity is Severity.WARNING else "OK"
    if alerts.nights:
        return f"{word}, recovered after {alerts.nights} failed night{'s' if alerts.nights > 1 else ''}"
    return word


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th ..."""
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def wanted(concern: Severity, status: int, notice: Notice, run: Run, settings: Settings) -> dict[str, Channel]:
    """Return the channels that are set and that a run of such concern is for."""
    found: dict[str, Channel] = {}
    if settings.smtp_host and (concern is not Severity.OK or settings.mail_on_success):
        found["e-mail"] = partial(channels.send_mail, notice, settings)
    if settings.slack_webhook_url and concern is not Severity.OK:
        found["Slack"] = partial(channels.send_slack, notice, settings)
    if settings.healthcheck_url:
        path = str(status) if concern is Severity.FAILED else "0"
        found["dead-man's switch"] = partial(channels.ping, settings.healthcheck_url, path, run.id, notice.text)
    return found


def remember(digest: Digest, notice: Notice, alerts: Alerts, told: dict[str, str | None], settings: Settings) -> None:
    """Keep what the next run must know of this one."""
    now = time.time()
    alerts.unreached = {name: why for name, why in told.items() if why}
    if digest.severity is not Severity.FAILED:
        alerts.succeed(now)
    if digest.severity is not Severity.OK:
        alerts.last_alert, alerts.last_alert_at = notice.subject, now
    alerts.write(settings.log_dir)


if __name__ == "__main__":
    main()

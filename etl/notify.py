"""Tell people how a run ended. etl.sh always calls this script as it exits. The script changes neither data nor exit status."""

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
from notices.language import Language, read_language
from notices.notice import render
from postgres.database import Database
from postgres.statements import one
from runtime import logs
from runtime.script import keep_private

PATIENCE = 30  # seconds that Postgres has to answer

log = logging.getLogger("etl.notify")


def main() -> None:
    """Tell people about the run whose exit status is on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("status", type=int, help="exit status of the run")
    status = parser.parse_args().status
    logs.to_stderr("notify")
    keep_private()
    os.environ["RETRY_SECONDS"] = "0"
    run = Run.current("etl")
    settings = load_sound()
    with suppress(OSError, StageError):
        logs.to_file(settings, "etl", run.id, logs.Lenient)
    try:
        notify(run, status, settings)
    except Exception:
        log.exception("a bug: please report this traceback")
        text = f"exit status {status}; the digest itself failed, see {settings.log_dir}/etl.log"
        notice = Notice(f"[visitas] FAILED: {text}", text + "\n", f"<p>{escape(text)}</p>", text)
        channels.tell(choose_channels(Severity.FAILED, status or Status.BUG, notice, run, settings))


def notify(run: Run, status: int, settings: Settings) -> None:
    """Tell people about a run through the channels that are set, and remember what they were told."""
    path = os.environ.get(JOURNAL)
    journal = Journal.read(Path(path or os.devnull))
    if path and status == Status.DONE and not journal.ended:
        return  # there was no run: etl.sh --help, for example
    alerts = Alerts.read(settings.log_dir)
    began = {stage for stage, *_ in journal.ended} - {"etl"}
    hours = hours_held(run, alerts, settings) if status == Status.LOCKED and not began else None
    if hours is not None and hours < settings.lock_alert_hours:
        log.info("told nobody: another run has been at work for hours=%.1f", hours)
        return
    digest = replace(build_digest(run, status, journal, settings), unreached=alerts.unreached, hours_locked=hours)
    recovered = digest.severity is not Severity.FAILED and alerts.nights > 0
    words = read_language(settings.notice_language)
    notice = render(digest, heading(digest, alerts, words, settings), words, settings)
    # Whoever heard of the failure hears of the recovery, too.
    severity = Severity.WARNING if recovered and digest.severity is Severity.OK else digest.severity
    told = channels.tell(choose_channels(severity, status, notice, run, settings))
    for name, why in told.items():
        if why:
            log.error("%s was not reached: %s. Hint: make notify-test tries the channel again.", name, why)
        else:
            log.info("told channel=%s severity=%s", name, digest.severity)
    try:
        remember(digest, notice, alerts, told, settings)
    except OSError as error:
        log.error("%s: %s; this run is not remembered. Hint: free space or fix the rights.", error.filename, error.strerror)
    except StageError as error:
        log.error("this run is not remembered: %s", error)
    if settings.metrics_file:
        from notices import metrics  # noqa: PLC0415 - slow to import

        try:
            metrics.write(digest, alerts, settings, settings.metrics_file)
        except OSError as error:
            log.error("METRICS_FILE %s: %s. Hint: fix the rights there.", settings.metrics_file, error.strerror)
        except StageError as error:
            log.error("no metrics: %s", error)


def hours_held(run: Run, alerts: Alerts, settings: Settings) -> float:
    """Return how many hours another run has held the lock.

    If no run is known to hold the lock, a stranger may hold it: then the hours count from the end of the last good run. They
    are infinite if there was none.
    """
    with suppress(OSError, ValueError):
        holder = (settings.work_dir / ".lock").read_text().removeprefix("run ").strip()
        if holder != run.id:  # if equal, this run took the lock file: another host holds the lock in Postgres
            return (datetime.now(UTC) - Run(holder, "etl").started_at).total_seconds() / 3600
    with suppress(StageError), Database(settings, PATIENCE).transaction() as cursor:
        if row := one(cursor, "ledger/run_held", {"run_id": run.id}):
            return float(row[1]) / 3600
    return math.inf if alerts.last_success is None else (time.time() - alerts.last_success) / 3600


def build_digest(run: Run, status: int, journal: Journal, settings: Settings) -> Digest:
    """Return the digest of a run. A fact that cannot be read is None."""
    database = Database(settings, PATIENCE)
    loaded, waiting = None, None
    try:
        with database.transaction() as cursor:
            loaded = gather(cursor, run.id)
    except StageError as error:
        log.info("the digest lacks the load log: %s", error)
    database.close()
    with suppress(OSError):
        waiting = len(list(report_names(settings.work_dir, settings.report_pattern)))
    return Digest(run.id, status, journal, loaded, waiting, settings.expect_files_within_days)


def heading(digest: Digest, alerts: Alerts, words: Language, settings: Settings) -> str:
    """Record a failure in ``alerts``; return the severity and the failed nights in a row, as ``FAILED, 3rd night``."""
    if digest.severity is Severity.FAILED:
        nights = alerts.fail(digest.status, settings.now().date())
        return words("FAILED") + (f", {words('{n}{th} night', n=nights, th=ordinal(nights))}" if nights > 1 else "")
    word = words("WARNING") if digest.severity is Severity.WARNING else words("OK")
    if alerts.nights:
        one, many = "recovered after {n} failed night", "recovered after {n} failed nights"
        return f"{word}, {words.count(one, many, alerts.nights)}"
    return word


def ordinal(number: int) -> str:
    """Return what makes an English number an ordinal: st, nd, rd, th."""
    teens = number % 100 in (11, 12, 13)
    return "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def choose_channels(severity: Severity, status: int, notice: Notice, run: Run, settings: Settings) -> dict[str, Channel]:
    """Return by name the channels for a run of this severity; a channel that is not set is left out."""
    found: dict[str, Channel] = {}
    if settings.smtp_host and (severity is not Severity.OK or settings.mail_on_success):
        found["e-mail"] = partial(channels.send_mail, notice, settings)
    if settings.slack_webhook_url and severity is not Severity.OK:
        found["Slack"] = partial(channels.send_slack, notice, settings)
    if settings.healthcheck_url:
        path = str(status) if severity is Severity.FAILED else "0"
        found["dead-man's switch"] = partial(channels.ping, settings.healthcheck_url, path, run.id, notice.text)
    return found


def remember(digest: Digest, notice: Notice, alerts: Alerts, told: dict[str, str | None], settings: Settings) -> None:
    """Write to ``alerts`` what the next run must know about this run."""
    now = time.time()
    alerts.unreached = {name: why for name, why in told.items() if why}
    if digest.severity is not Severity.FAILED:
        alerts.succeed(now)
    if digest.severity is not Severity.OK:
        alerts.last_alert, alerts.last_alert_at = notice.subject, now
    alerts.write(settings.log_dir)


if __name__ == "__main__":
    main()

"""The metrics of a run: a file for Prometheus's textfile collector (METRICS_FILE)."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from base import trust
from base.files import whole_file
from base.settings import Settings
from notices.alerts import Alerts
from notices.digest import Digest


def write(digest: Digest, alerts: Alerts, settings: Settings, path: Path) -> None:
    """Replace the metrics file in one step. Everybody may read the file: it holds nothing private."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, values: dict[str, float], label: str = "") -> None:
        metric = Gauge(f"visitas_{name}", text, [label] if label else [], registry=registry)
        for value_of, value in values.items():
            (metric.labels(value_of) if label else metric).set(value)

    gauge("exit_status", "Exit status of the last run.", {"": digest.status})
    gauge("last_run_timestamp_seconds", "When the last run ended.", {"": time.time()})
    if alerts.last_success:
        gauge("last_success_timestamp_seconds", "When the last good run ended.", {"": alerts.last_success})
    durations = {stage: seconds for stage, _, seconds in digest.journal.ended if seconds is not None}
    gauge("stage_duration_seconds", "Duration of each stage of the last run; etl is the whole run.", durations, "stage")
    gauge("files", "Reports of the last run by fate.", digest.files_by_status, "status")
    gauge("lines", "Lines of the last run, loaded and rejected.", digest.lines_by_status, "status")
    unreached = dict.fromkeys(alerts.unreached, 1.0)
    gauge("channel_unreached", "1 for each channel that did not take the message of the last run.", unreached, "channel")
    gauge("disk_free_bytes", "Room on the disk of each folder when the last run ended.", free_bytes(settings), "folder")
    trust.verify("folder of METRICS_FILE", path.parent)
    before = os.umask(0o022)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)
    with whole_file(path) as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(generate_latest(registry))


def free_bytes(settings: Settings) -> dict[str, float]:
    """Return how many bytes each folder's disk has free for this user; a folder that is not there is left out."""
    found: dict[str, float] = {}
    for name, folder in (("work", settings.work_dir), ("backup", settings.backup_dir), ("log", settings.log_dir)):
        with suppress(OSError):
            found[name] = shutil.disk_usage(folder).free
    return found

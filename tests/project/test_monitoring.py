"""What watches the night: the metrics that it writes, and the alert rules, the dashboard and the README that speak of them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from base.settings import Settings
from kit.servers import ETL, need
from notices import metrics
from notices.alerts import Alerts
from notices.digest import Digest, Result
from notices.journal import End, Journal

MONITORING = ETL / "monitoring"
RULES = (MONITORING / "alerts.yml").read_text()
CASES = (MONITORING / "alerts.test.yml").read_text()
PANELS = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
SERIES = re.compile(r'\b(visitas_\w+)(?:\{(\w+)!?="(\w+)"\})?')
MADE_BY_RULES = re.findall(r"record: (\S+)", RULES)


def write_metrics(folder: Path) -> str:
    """Return the metrics of a night with everything in it, in a folder that has no log folder."""
    (folder / "bckp").mkdir()
    settings = Settings(sftp_host="x", sftp_user="x", work_dir=folder, backup_dir=folder / "bckp", log_dir=folder / "log")
    ended = [End(stage, 0, 1.5) for stage in ("etl", "extract", "transform", "load", "archive")]
    digest = Digest("20261127T000200Z-1", 0, Journal(ended, [], [], {"left": 1}), Result([], [], None, None, []), 0, None)
    path = folder / "visitas.prom"
    metrics.write(digest, Alerts(last_success=1.0, unreached={"Slack": "why"}), settings, path)
    return path.read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_metrics(tmp_path_factory.mktemp("metrics"))


def names_in(written: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) gauge$", written, re.MULTILINE))


def test_the_documents_list_the_metrics(written: str) -> None:
    rows = re.findall(r"^\| `(visitas_\w+)(?:\{(\w+)\})?` \|", (ETL / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == names_in(written)
    for name, label in rows:
        assert f'{name}{{{label}="' in written if label else f"{name} " in written


@pytest.mark.parametrize("text", [RULES, CASES, *QUERIES], ids=["rules", "cases", *map(str, range(len(QUERIES)))])
def test_only_metrics_that_exist_are_asked_for(written: str, text: str) -> None:
    asked = SERIES.findall(text)
    assert asked
    for name, label, value in asked:
        assert name in names_in(written)
        assert not label or f'{name}{{{label}="{value}"}} ' in written


def test_every_metric_is_on_the_dashboard(written: str) -> None:
    assert {name for query in QUERIES for name, *_ in SERIES.findall(query)} == names_in(written)


def test_the_disk_of_a_folder_that_is_not_there_is_left_out(written: str) -> None:
    assert re.findall(r'^visitas_disk_free_bytes\{folder="(\w+)"\} \d', written, re.MULTILINE) == ["work", "backup"]


def promtool(*arguments: str | Path) -> str:
    """Call promtool on rules; return what it says."""
    done = subprocess.run(
        [need("promtool"), *arguments], cwd=MONITORING, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_rules_are_sound() -> None:
    assert f"SUCCESS: {RULES.count('- alert:') + len(MADE_BY_RULES)} rules found" in promtool("check", "rules", "alerts.yml")


def test_the_rules_alert_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml")


def test_every_alert_is_tested_both_ways() -> None:
    for alert in re.findall(r"alert: (\w+)", RULES):
        cases = CASES.split(f"alertname: {alert}")[1:]
        fires = [case.lstrip().startswith("exp_alerts:") for case in cases]
        assert set(fires) == {True, False}, alert


def test_the_queries_of_the_dashboard_are_sound(tmp_path: Path) -> None:
    """promtool checks rules only, so each query becomes one."""
    rules = [{"record": f"panel:query{number}", "expr": query} for number, query in enumerate(QUERIES)]
    path = tmp_path / "rules.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"SUCCESS: {len(QUERIES)} rules found" in promtool("check", "rules", path)


def test_no_panel_lies_on_another() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [
        (place["x"] + column, place["y"] + row)
        for place in (panel["gridPos"] for panel in PANELS)
        for column in range(place["w"])
        for row in range(place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24  # columns of Grafana

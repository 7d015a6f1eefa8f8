"""The container image, as far as its description tells: pinned, without secrets, an ordinary user's, and enough for a night."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from base.settings import KNOWN
from kit.night import Night
from kit.samples import line, report
from kit.servers import ETL, PATIENCE, ROOT

JOINED = re.sub(r"\\\n\s*", "", (ETL / "Containerfile").read_text())
INSTRUCTIONS = [text.partition(" ")[::2] for text in JOINED.splitlines() if text and not text.startswith("#")]
FOLDERS = {"WORK_DIR", "BACKUP_DIR", "LOG_DIR"}


def given(keyword: str) -> list[str]:
    """Return what follows a keyword, in order."""
    return [rest for word, rest in INSTRUCTIONS if word == keyword]


VARIABLES = dict(word.split("=", 1) for rest in given("ENV") for word in shlex.split(rest))
COPIED = [rest.split() for rest in given("COPY")]


def test_the_base_is_pinned() -> None:
    (base,) = given("FROM")
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)


def test_packages_come_from_the_lock_file_alone() -> None:
    (install,) = [rest for rest in given("RUN") if "pip install" in rest]
    assert "--require-hashes --only-binary :all: -r etl/requirements.lock" in install
    assert ["etl/requirements.lock", "etl/requirements.lock"] in COPIED
    assert JOINED.count("pip install") == 1


def test_what_is_copied_is_there_and_gets_past_dockerignore() -> None:
    first, *rules = [rule for rule in (ROOT / ".dockerignore").read_text().splitlines() if not rule.startswith("#")]
    assert first == "*"  # nothing, but what is named after it
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert let_in == {source.split("/")[0] for source, _ in COPIED}
    for source, target in COPIED:
        assert (ROOT / source).exists()
        assert source == target


def test_nothing_secret_is_in_it() -> None:
    assert given("ARG") == given("ADD") == []
    assert VARIABLES.keys() == FOLDERS
    assert VARIABLES.keys() <= KNOWN


def test_an_ordinary_user_runs_one_night() -> None:
    words = [word for word, _ in INSTRUCTIONS]
    assert words[-2:] == ["USER", "ENTRYPOINT"]
    (user,) = given("USER")
    assert re.search(rf"useradd .*--uid [1-9]\d+ {user}\b", JOINED)
    assert given("ENTRYPOINT") == ['["bash", "etl/etl.sh"]']
    assert given("WORKDIR") == ["/srv/visitas"]


def test_what_a_night_writes_is_on_volumes_of_its_user() -> None:
    (volumes,) = given("VOLUME")
    assert {*shlex.split(volumes.strip("[]").replace(",", " "))} == {*VARIABLES.values()}
    (made,) = re.findall(r"install -d -o etl -g etl -m 0700 (.+)", JOINED)
    assert {*made.split()} == {*VARIABLES.values()}


def test_what_is_copied_is_enough_for_a_night(night: Night, tmp_path: Path) -> None:
    image = tmp_path / "image"
    for source, target in COPIED:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, image / target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (image / ".venv").symlink_to((ROOT / ".venv").resolve())
    night.deliver("report_1.txt", report(line()))
    done = subprocess.run(
        ["bash", "etl/etl.sh"], cwd=image, env=night.environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert night.statuses() == [("report_1.txt", "loaded")]
    assert {path.name for path in image.iterdir()} == {".venv", "etl", "sql"}

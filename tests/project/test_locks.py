"""What is installed is what was tested: each lock fits its list, the locks name all that is installed, the night needs one."""

import json
import subprocess
import sys
from importlib.metadata import distribution, distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kit.servers import ETL, ROOT

NIGHT = "etl/requirements.lock"
INSTALLED = {  # the lock of each list that make test installs from
    "requirements.txt": NIGHT,
    "sql/requirements.txt": "sql/requirements.lock",
    "etl/commands/monthly/requirements.txt": "etl/commands/monthly/requirements.lock",
    "tests/requirements.txt": "tests/requirements.lock",
}
if find_spec("pyspark"):  # make lake-setup
    INSTALLED["etl/spark/requirements.txt"] = "etl/spark/requirements.lock"
LISTS = INSTALLED | {
    "tests/tools/requirements.txt": "tests/tools/requirements.lock",
    "etl/spark/requirements.txt": "etl/spark/requirements.lock",
}
UNLOCKED = {"pip", "setuptools"}  # what Python brings along
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
for module in pkgutil.walk_packages([sys.argv[1]]):
    if module.name not in ("__main__", "commands.monthly.charts", *sys.argv[2:]):
        importlib.import_module(module.name)
        print(module.name)
"""
OF_SPARK = [
    f"spark.{name}" for name in ("exactly_once", "history", "landing", "maintenance", "night", "parse", "reading", "tables")
]  # only ENGINE=spark imports these

Pins = dict[str, str]


def requirements(text: str) -> list[Requirement]:
    """Return the requirements of a list or a lock, without hashes and comments."""
    lines = (line.partition("#")[0].partition("--hash")[0].strip() for line in text.replace("\\\n", "").splitlines())
    return [Requirement(line) for line in lines if line]


def pins(text: str) -> Pins:
    """Return the version of each package that a list or a lock names for this Python."""
    here = (found for found in requirements(text) if not found.marker or found.marker.evaluate())
    return {canonicalize_name(found.name): str(found.specifier).removeprefix("==") for found in here}


def misfits(chosen: str, lock: str) -> list[str]:
    """Return a sentence for every package of the list that the lock does not hold, and every one that is not locked."""
    locked = pins(lock)
    hashed = {line.partition("==")[0] for line in lock.replace("\\\n", "").splitlines() if " --hash=sha256:" in line}
    return [
        *(f"{name} {version} is not in the lock: make lock." for name, version in sorted(pins(chosen).items() - locked.items())),
        *(f"{found.name} has no hash." for found in requirements(lock) if found.name not in hashed),
        *(f"{found} names no single version." for found in requirements(lock) if not str(found.specifier).startswith("==")),
    ]


def differences(installed: Pins, locked: Pins) -> list[str]:
    """Return a sentence for every package that is installed and not locked, or otherwise than it is locked."""
    return [
        *(f"{name} {version} is not installed." for name, version in sorted(locked.items() - installed.items())),
        *(f"{name} is in no lock: pip uninstall {name}." for name in sorted(installed.keys() - locked.keys())),
    ]


@pytest.mark.parametrize(("chosen", "lock"), LISTS.items())
def test_each_lock_fits_its_list(chosen: str, lock: str) -> None:
    assert misfits((ROOT / chosen).read_text(), (ROOT / lock).read_text()) == []


LOCK = 'a-b==1 ; python_version > "3" \\\n    --hash=sha256:12 \\\n    --hash=sha256:34\n    # via c\nc==2 --hash=sha256:56\n'


@pytest.mark.parametrize(
    ("chosen", "lock", "said"),
    [
        ("# why\nA_b==1\nc==2 # why\n", LOCK, []),
        ("a-b==1.1", LOCK, ["a-b 1.1 is not in the lock: make lock."]),
        ("d==1", LOCK, ["d 1 is not in the lock: make lock."]),
        ("a-b==1", LOCK.replace("--hash=sha256:56", ""), ["c has no hash."]),
        ("a-b==1", LOCK.replace("c==2", "c>=2"), ["c has no hash.", "c>=2 names no single version."]),
    ],
)
def test_a_lock_that_does_not_fit_is_told(chosen: str, lock: str, said: list[str]) -> None:
    assert misfits(chosen, lock) == said


def test_no_lock_names_a_registry() -> None:
    assert [lock for lock in LISTS.values() if "://" in (ROOT / lock).read_text()] == []


def test_locks_of_one_environment_agree() -> None:
    locks = {*INSTALLED.values(), LISTS["etl/spark/requirements.txt"]}
    found = {pin for lock in locks for pin in pins((ROOT / lock).read_text()).items()}
    assert len({name for name, _ in found}) == len(found)


def test_installed_is_what_the_locks_name() -> None:
    locked = {name: version for lock in INSTALLED.values() for name, version in pins((ROOT / lock).read_text()).items()}
    installed = {canonicalize_name(found.name): found.version for found in distributions()}
    assert differences({name: installed[name] for name in installed.keys() - (UNLOCKED - locked.keys())}, locked) == []


def test_what_is_installed_otherwise_is_told() -> None:
    assert differences({"a": "1"}, {"a": "1"}) == []
    assert differences({"a": "1", "b": "1"}, {"a": "2", "c": "3"}) == [
        "a 2 is not installed.",
        "c 3 is not installed.",
        "b is in no lock: pip uninstall b.",
    ]


@pytest.fixture
def night_only(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that finds only what the night's lock installs."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in pins((ROOT / NIGHT).read_text()):
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(str(package.locate_file(top))))
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "ENV_FILE": "/dev/null", "LOG_DIR": str(tmp_path / "logs")}


def python(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python without its site-packages."""
    return subprocess.run([sys.executable, "-S", *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_night_and_the_mock_server_need_nothing_but_the_lock_of_the_night(night_only: dict[str, str]) -> None:
    done = python("-c", IMPORT_ALL, ETL, *OF_SPARK, **night_only)
    assert done.returncode == 0, done.stderr
    assert {"night", "load", "sftp.client", "commands.report"} <= set(done.stdout.split())
    done = python(ROOT / "sftp-server" / "sftp-mock.py", "--help", **night_only)
    assert done.returncode == 0, done.stderr


def test_a_monthly_report_without_its_packages_says_how_to_install_them(night_only: dict[str, str], database: str) -> None:
    settings = {"DATABASE_URL": database, "SFTP_HOST": "x", "SFTP_USER": "x"}
    done = python(ETL, "report", "--month", "2013-02", **settings, **night_only)
    assert done.returncode == 2
    assert done.stderr.endswith("the monthly report needs matplotlib, which is not installed. Hint: make report installs it.\n")
    assert done.stdout == ""
    assert not list(Path(night_only["LOG_DIR"]).glob("report-*"))


def test_the_list_of_licences(tmp_path: Path) -> None:
    licences = [{"license": {"id": "MIT"}}, {"license": {"name": "MIT License"}}, {"expression": "MIT OR ISC"}]
    components = [{"name": "one", "version": "1", "licenses": licences}, {"name": "two", "version": "2"}]
    for listed, printed in (
        (components, ["| one | 1 | MIT, MIT License, MIT OR ISC |", "| two | 2 | not said: look at its files |"]),
        ([], None),
    ):
        (sbom := tmp_path / "sbom.json").write_text(json.dumps({"components": listed}))
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "tools" / "licences.py"), str(sbom)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.splitlines()[2:] or None) == (int(not printed), printed)

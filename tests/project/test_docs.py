"""The documents name every code, status, setting, target and package; every script and make target explains itself."""

import ast
import re
import subprocess
import sys

import pytest

from base.settings import Settings
from base.trouble import Status
from kit.servers import ETL, ROOT, execute
from parsing.faults import Code

README = (ROOT / "README.md").read_text()
ENGINEERS = (ROOT / "etl" / "README.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):.*?## ", MAKEFILE, re.MULTILINE)
SCRIPTS = sorted(path.name for path in ETL.glob("[a-z]*.py"))


@pytest.mark.parametrize("code", Code)
def test_reject_codes(code: Code) -> None:
    assert f"| `{code}` | {code.meaning} |" in README


@pytest.mark.parametrize("status", Status)
def test_exit_statuses(status: Status) -> None:
    assert re.search(rf"^\| {status.value} \|", README, re.MULTILINE)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_settings(name: str) -> None:
    assert f"`{name.upper()}`" in README
    assert re.search(rf"^#?{name.upper()}=", EXAMPLE, re.MULTILINE)


def test_example_holds_the_defaults() -> None:
    given = dict(re.findall(r"^#([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE))
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if name.upper() in given and name not in ("sftp_key_file", "database_url"):  # examples, not defaults
            assert given[name.upper()] == (str(default).lower() if isinstance(default, bool) else str(default)), name


@pytest.mark.parametrize("target", TARGETS)
def test_make_targets(target: str) -> None:
    assert re.search(rf"`make {target}[ `]|^    make {target} ", README, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^make {target} +\w", shown, re.MULTILINE)


def test_every_target_is_explained_once() -> None:
    named = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert named == TARGETS
    assert len(set(named)) == len(named)
    for readme in (README, ENGINEERS, *((ROOT / folder / "README.md").read_text() for folder in ("sql", "tests"))):
        assert {*re.findall(r"`make ([a-z-]+)`", readme)} <= set(named)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.split()) <= 2_700


def test_every_package_is_on_the_map_in_the_words_of_its_docstring() -> None:
    """A package's docstring is its row in the map of etl/README.md."""
    mapped = dict(re.findall(r"^\| `([\w/]+)/` \| \d+ \| (.*?) \|", ENGINEERS, re.MULTILINE))
    packages = {
        str(path.parent.relative_to(ETL)): ast.get_docstring(ast.parse(path.read_text())) for path in ETL.rglob("__init__.py")
    }
    assert packages == mapped


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_explain_themselves(script: str) -> None:
    shown = subprocess.run([sys.executable, str(ETL / script), "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("usage: ")


def test_requirements_have_a_reason() -> None:
    lists = ("requirements.txt", "sql/requirements.txt", "etl/commands/monthly/requirements.txt", "etl/spark/requirements.txt")
    for requirements in lists:
        for name in re.findall(r"^([a-z0-9-]+)==", (ROOT / requirements).read_text(), re.MULTILINE):
            assert re.search(rf"^\| {name} \|", ENGINEERS, re.MULTILINE), name


def test_every_table_view_and_column_has_a_comment(database: str) -> None:
    bare = execute(
        database,
        "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum >= 0"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and not a.attisdropped"
        " and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)",
    )
    assert bare == []

"""The packages: each imports only from lower layers; each statement has a file, and each file a user."""

import ast
import re
import sys
from pathlib import Path

import pytest

from kit.servers import ETL, ROOT

SCRIPTS = "the row of scripts"
LAYERS = [  # from the lowest; packages of one layer do not import one another
    {"base"},
    {"parsing"},
    {"postgres", "sftp"},
    {"notices", "spark"},
    {"backup"},
    {"runtime"},
    {SCRIPTS},
    {"commands"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(LAYERS) for room in rooms}
STATEMENT = re.compile(r'"((?:changes|commands|lake|ledger|load|notices|schema|session)/\w+)"')


def room_of(path: Path) -> str:
    """Return the package of a module; the scripts count as one package, and ``__main__`` as another."""
    inside = path.relative_to(ETL)
    return inside.parts[0] if len(inside.parts) > 1 else "__main__" if path.stem == "__main__" else SCRIPTS


def imports_of(source: str) -> set[str]:
    """Return the first part of every name that the source imports, at the top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def complaints(modules: dict[Path, str]) -> list[str]:
    """Return a sentence for every import from a higher layer: where it is, and what to do."""
    scripts = {path.stem for path in modules if room_of(path) == SCRIPTS}
    said = []
    for path, source in modules.items():
        here = room_of(path)
        for name in sorted(imports_of(source)):
            there = SCRIPTS if name in scripts else name
            if there in FLOOR and there != here and FLOOR[there] >= FLOOR[here]:
                said.append(
                    f"{path.relative_to(ROOT)} imports {name}, but {there} is not below {here}. "
                    f"Move what it needs to a package below {here}, or move the module that needs it up."
                )
    return said


MODULES = {path: path.read_text() for path in sorted(ETL.rglob("*.py"))}


def test_every_package_imports_only_what_stands_below_it() -> None:
    assert {room_of(path) for path in MODULES} == set(FLOOR)
    assert complaints(MODULES) == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("base/settings.py", "from postgres import ledger", "postgres, but postgres is not below base"),
        ("sftp/server.py", "import postgres.ledger", "postgres, but postgres is not below sftp"),
        ("backup/zips.py", "def f():\n    import load", "load, but the row of scripts is not below backup"),
        ("load.py", "from commands import check", "commands, but commands is not below the row of scripts"),
    ],
)
def test_an_import_that_runs_the_wrong_way_is_told(module: str, source: str, said: str) -> None:
    (complaint,) = complaints(MODULES | {ETL / module: source})
    assert complaint.startswith(f"etl/{module} imports ")
    assert said in complaint
    assert complaint.endswith("or move the module that needs it up.")


def test_no_module_is_named_after_another(tmp_path: Path) -> None:
    """A module of ours would hide a module of Python's, or an installed one, of the same name."""
    installed = {path.name.partition(".")[0] for path in (Path(pytest.__file__).parent.parent).iterdir()}
    ours = {path.stem for path in ETL.glob("*.py")} | {path.name for path in ETL.iterdir() if path.is_dir()}
    assert ours & (set(sys.stdlib_module_names) | installed) <= {"__main__", "__pycache__"}


def test_every_statement_has_a_file_and_every_file_a_user() -> None:
    named = {name for source in MODULES.values() for name in STATEMENT.findall(source)}
    there = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "sql").glob("*/*.sql")}
    assert named == {name for name in there if not name.startswith("migrations/")}


def test_statements_are_named_literally() -> None:
    """A search finds a name only if the name stands in the source as a whole."""
    for path, source in MODULES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "query":
                assert isinstance(node.args[0], ast.Constant | ast.Name), f"{path}:{node.lineno}"

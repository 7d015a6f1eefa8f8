"""What people type: python etl COMMAND."""

import subprocess
import sys

import pytest

from kit.servers import ETL

COMMANDS = sorted(
    path.stem.replace("_", "-") for path in (ETL / "commands").glob("*.py") if '__name__ == "__main__"' in path.read_text()
)


def python_etl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ETL), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_every_command_is_listed(arguments: tuple[str, ...]) -> None:
    done = python_etl(*arguments)
    assert done.returncode == 0
    assert "status" in COMMANDS
    for name in COMMANDS:
        (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == [name]]
        assert line.endswith(".")
        assert len(line) <= 120
    assert "console" not in done.stdout  # console is no command: commands share it


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = python_etl(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python etl {name} [-h]")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("statsu", "there is no command 'statsu'. Did you mean status?"),
        ("verify_backups", "Did you mean verify-backups?"),
        ("console", "there is no command 'console'."),
        ("frobnicate", "python etl --help lists them."),
    ],
)
def test_a_misspelt_command(name: str, said: str) -> None:
    done = python_etl(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr

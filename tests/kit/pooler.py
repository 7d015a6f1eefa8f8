"""A real pooler in front of Postgres, which may also end TLS for it: the embedded Postgres has none."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.servers import Postgres, free_port, need, wait_for


@contextmanager
def pgbouncer(folder: Path, postgres: Postgres, mode: str, *more: str) -> Iterator[int]:
    """Run a pgbouncer on the loopback in front of Postgres and give its port; ``more`` are lines of its configuration."""
    program, port = need("pgbouncer"), free_port()
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={postgres.folder} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n" + "\n".join(more)
    )
    user = ["-u", postgres.folder.owner()] if os.geteuid() == 0 else []  # pgbouncer refuses to run as root
    command = [program, "-q", *user, str(folder / "pgbouncer.ini")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_for(lambda: process.poll() is not None or is_open(port))
            assert process.poll() is None, (folder / "log").read_text()
            yield port
        finally:
            process.terminate()


def is_open(port: int) -> bool:
    return subprocess.run(["bash", "-c", f"exec 3<> /dev/tcp/127.0.0.1/{port}"], capture_output=True, check=False).returncode == 0

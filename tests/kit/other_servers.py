"""Other real SFTP servers on the loopback, each a process of its own: ProFTPD, Dropbear, asyncssh, rclone."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from kit.servers import free_port, need, wait_for

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")  # where Debian's Dropbear looks for it
PROFTPD_MODULES = Path("/usr/lib/proftpd")


class Server(ABC):
    """A server with a host key and the key of a user, both made here. A subclass says how it is started."""

    def __init__(self, folder: Path, served: Path) -> None:
        """Make the keys in ``folder``; ``served`` is the folder of the reports."""
        self.folder, self.served = folder, served
        self.user = pwd.getpwuid(os.geteuid())
        self.port = free_port()
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        host_key = (folder / "host_key.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {' '.join(host_key)}\n")
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Write what the server needs and return the command that runs it, or skip the test."""

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(self._is_up)

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        assert self.process
        self.process.terminate()
        self.process.wait(30)

    def settings(self) -> dict[str, str]:
        """The settings of a client that it lets in."""
        return {
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(self.port),
            "SFTP_USER": self.user.pw_name,
            "SFTP_KEY_FILE": str(self.folder / "user_key"),
            "SFTP_KNOWN_HOSTS": str(self.folder / "known_hosts"),
            "SFTP_REMOTE_DIR": str(self.served),
        }

    def _is_up(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            pytest.fail(f"{type(self).__name__} does not start: {(self.folder / 'log').read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class ProFTPD(Server):
    """ProFTPD with mod_sftp; its users are in a file of its own."""

    def command(self) -> list[str]:
        """Write the configuration."""
        proftpd = need("proftpd")
        if not (PROFTPD_MODULES / "mod_sftp.so").exists():
            pytest.skip("proftpd-mod-crypto is not installed")
        public = subprocess.run(
            ["ssh-keygen", "-e", "-m", "RFC4716", "-f", self.folder / "user_key.pub"], capture_output=True, check=True
        ).stdout
        (self.folder / "authorized_keys").write_bytes(public)
        user = self.user
        (self.folder / "passwd").write_text(f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{self.folder}:/bin/sh\n")
        (self.folder / "group").write_text(f"{user.pw_name}:x:{user.pw_gid}:\n")
        for name in ("passwd", "group"):
            (self.folder / name).chmod(0o600)  # it refuses files that others may read
        (self.folder / "proftpd.conf").write_text(
            f"ModulePath {PROFTPD_MODULES}\nLoadModule mod_sftp.c\nServerType standalone\nUseReverseDNS off\n"
            f"UseIPv6 off\nDefaultAddress 127.0.0.1\nSocketBindTight on\nPort {self.port}\nMaxInstances 20\n"
            f"User {user.pw_name}\nGroup {user.pw_name}\nRootLogin on\nRequireValidShell off\nUseFtpUsers off\n"
            f"AuthOrder mod_auth_file.c\nAuthPAM off\nAuthUserFile {self.folder}/passwd\nAuthGroupFile {self.folder}/group\n"
            f"PidFile {self.folder}/pid\nScoreboardFile {self.folder}/scoreboard\nDelayTable none\nDelayEngine off\n"
            f"WtmpLog off\nTransferLog none\nSystemLog {self.folder}/log\n"
            f"SFTPEngine on\nSFTPHostKey {self.folder}/host_key\nSFTPAuthMethods publickey\nSFTPLog {self.folder}/sftp.log\n"
            f"SFTPAuthorizedUserKeys file:{self.folder}/authorized_keys\n"
        )
        return [proftpd, "--nodaemon", "--quiet", "--config", str(self.folder / "proftpd.conf")]


class Dropbear(Server):
    """Dropbear with OpenSSH's sftp-server.

    It reads the keys that may log in from the user's own home, and from nowhere else. So it gets a home of its own
    there, in a view of the file system that no other process shares.
    """

    def command(self) -> list[str]:
        """Convert the host key, and lay out the home."""
        dropbear, convert, unshare = need("dropbear"), need("dropbearconvert"), need("unshare")
        if not SFTP_SERVER.exists():
            pytest.skip("openssh-sftp-server is not installed")
        if subprocess.run([unshare, "--mount", "true"], check=False, capture_output=True).returncode:
            pytest.skip("this machine gives no process a view of the file system of its own")
        subprocess.run(
            [convert, "openssh", "dropbear", self.folder / "host_key", self.folder / "dropbear_key"],
            check=True,
            capture_output=True,
        )
        (home := self.folder / "home").mkdir(mode=0o700)
        (home / ".ssh").mkdir(mode=0o700)
        shutil.copy(self.folder / "authorized_keys", home / ".ssh" / "authorized_keys")
        serve = [dropbear, "-F", "-E", "-s", "-p", f"127.0.0.1:{self.port}", "-r", str(self.folder / "dropbear_key")]
        serve += ["-P", str(self.folder / "pid")]
        move_in = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        return [unshare, "--mount", "sh", "-c", move_in, "sh", str(home), self.user.pw_dir, *serve]


class AsyncSSH(Server):
    """asyncssh, which speaks version 3 to a client that does."""

    def command(self) -> list[str]:
        """Name the script below."""
        if not find_spec("asyncssh"):
            pytest.skip("asyncssh is not installed")
        return [sys.executable, "-c", ASYNCSSH, str(self.port), str(self.folder)]


ASYNCSSH = """
import asyncio, sys, asyncssh

async def main(port, folder):
    await asyncssh.listen(
        "127.0.0.1", int(port), server_host_keys=[f"{folder}/host_key"],
        authorized_client_keys=f"{folder}/authorized_keys", sftp_factory=True,
    )
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Rclone(Server):
    """rclone serve sftp; the folder of the reports is its root."""

    def command(self) -> list[str]:
        """Forget the folder between two looks: reports are delivered behind rclone's back."""
        serve = [need("rclone"), "serve", "sftp", str(self.served), "--addr", f"127.0.0.1:{self.port}", "--dir-cache-time", "0"]
        serve += ["--config", str(self.folder / "rclone.conf"), "--cache-dir", str(self.folder / "cache")]
        serve += ["--key", str(self.folder / "host_key"), "--authorized-keys", str(self.folder / "authorized_keys")]
        return serve

    def settings(self) -> dict[str, str]:
        """The settings of a client that it lets in."""
        return super().settings() | {"SFTP_REMOTE_DIR": "/"}


@contextmanager
def running(kind: type[Server], folder: Path, served: Path) -> Iterator[Server]:
    """Give a running server; its files lie in ``folder``, which is made."""
    folder.mkdir()
    server = kind(folder, served)
    server.start()
    try:
        yield server
    finally:
        server.stop()

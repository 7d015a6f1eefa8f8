"""Serve a folder over SFTP on the loopback, without a password, in place of the marketing platform's server.

For local runs only. The folder appears as /home/vinkOS/archivosVisitas, so that the settings look
like production's. Nothing outside the folder can be reached.
"""

import argparse
import logging
import os
import signal
import socket
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko
from paramiko import SFTP_NO_SUCH_FILE, SFTP_OK, SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface

ROOT = Path(__file__).resolve().parent.parent
SERVED_AS = "/home/vinkOS/archivosVisitas"
HOST = "127.0.0.1"
KEY_FILE = ROOT / ".local" / "sftp_host_key"
KNOWN_HOSTS = ROOT / ".local" / "known_hosts"

log = logging.getLogger("sftp-mock")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=2222, help="0: any free port; the first line printed names the port")
    parser.add_argument("--folder", type=Path, default=ROOT / "sftp-server" / "data", help="the folder to serve")
    arguments = parser.parse_args()
    logging.basicConfig(
        filename=ROOT / "logs" / "sftp_mock.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    key = host_key()
    with socket.create_server((HOST, arguments.port)) as listener:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: listener.shutdown(socket.SHUT_RDWR))  # ends accept()
        port = listener.getsockname()[1]
        pin(key, port)
        print(f"Serving {arguments.folder} as sftp://{HOST}:{port}{SERVED_AS}; pinned in {KNOWN_HOSTS}", flush=True)
        serve(listener, key, arguments.folder.resolve())
    log.info("stopped")


def serve(listener: socket.socket, key: paramiko.PKey, folder: Path) -> None:
    """Answer each connection in its own thread, until the listener is shut down."""
    transports: list[paramiko.Transport] = []
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:
            break
        log.info("connection from %s:%s", *peer[:2])
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        transport.set_subsystem_handler("sftp", SFTPServer, Folder, folder)
        try:
            transport.start_server(server=Anyone())
        except (paramiko.SSHException, EOFError) as error:
            log.info("not an SSH client: %s", error)
            transport.close()
            continue
        transports = [other for other in transports if other.is_active()] + [transport]
    for transport in transports:
        transport.close()


def host_key() -> paramiko.PKey:
    """Return the server's key; the first call makes the key file."""
    if not KEY_FILE.exists():
        KEY_FILE.parent.mkdir(exist_ok=True)
        paramiko.ECDSAKey.generate().write_private_key_file(str(KEY_FILE))
    return paramiko.ECDSAKey.from_private_key_file(str(KEY_FILE))


def pin(key: paramiko.PKey, port: int) -> None:
    """Add the key to the known_hosts file of local runs."""
    known = paramiko.HostKeys()
    if KNOWN_HOSTS.exists():
        known.load(str(KNOWN_HOSTS))
    known.add(f"[{HOST}]:{port}", key.get_name(), key)
    known.save(str(KNOWN_HOSTS))


class Anyone(paramiko.ServerInterface):
    """Lets everybody in, and allows nothing but sessions."""

    def get_allowed_auths(self, username: str) -> str:
        """Return the only way to log in."""
        return "none"

    def check_auth_none(self, username: str) -> int:
        """Accept everybody without a password."""
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Allow sessions; refuse port forwarding."""
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Folder(SFTPServerInterface):
    """The served folder and the files directly in it. No other path exists."""

    def __init__(self, server: paramiko.ServerInterface, folder: Path, *args: Any, **kwargs: Any) -> None:
        super().__init__(server, *args, **kwargs)
        self.folder = folder

    def _local(self, path: str) -> Path:
        """Return the local path of a remote path, or raise FileNotFoundError. A symbolic link counts as missing."""
        path = self.canonicalize(path)
        if path == SERVED_AS:
            return self.folder
        parent, _, name = path.rpartition("/")
        local = self.folder / name
        if parent != SERVED_AS or local.is_symlink():
            raise FileNotFoundError(path)
        return local

    def canonicalize(self, path: str) -> str:
        """Return the absolute path; a relative path starts in the served folder."""
        return os.path.normpath(PurePosixPath(SERVED_AS) / path)

    def list_folder(self, path: str) -> list[SFTPAttributes] | int:
        """Return the attributes of every file in the folder, or an SFTP status. Hidden files are left out."""
        try:
            found = [entry for entry in os.scandir(self._local(path)) if not entry.name.startswith(".")]
            return [SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name) for entry in found]
        except OSError as error:
            return sftp_status(error)

    def stat(self, path: str) -> SFTPAttributes | int:
        """Return size, time and mode of a file, or an SFTP status."""
        try:
            return SFTPAttributes.from_stat(os.lstat(self._local(path)))
        except OSError as error:
            return sftp_status(error)

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        """Open a file for reading or writing; return its handle, or an SFTP status."""
        try:
            local = self._local(path)
            descriptor = os.open(local, flags | os.O_NOFOLLOW, 0o666)
            file = os.fdopen(descriptor, "r+b" if flags & (os.O_WRONLY | os.O_RDWR) else "rb")
        except OSError as error:
            return sftp_status(error)
        log.info("open %s flags=%d", local.name, flags)
        handle = SFTPHandle(flags)
        handle.readfile = handle.writefile = file  # type: ignore[attr-defined]
        return handle

    def remove(self, path: str) -> int:
        """Delete a file; return an SFTP status."""
        try:
            self._local(path).unlink()
        except OSError as error:
            return sftp_status(error)
        log.info("remove %s", path)
        return SFTP_OK


def sftp_status(error: OSError) -> int:
    """Return the SFTP status of a failed system call."""
    return SFTPServer.convert_errno(error.errno) if error.errno else SFTP_NO_SUCH_FILE


if __name__ == "__main__":
    main()

"""The mock SFTP server as a process, and a hostile server in its place."""

import importlib.util
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import paramiko
import pytest

from kit.night import Night
from kit.samples import line, report
from kit.servers import PATIENCE, ROOT, OpenSSH

pytestmark = pytest.mark.xdist_group("mock")  # all write their keys to one file
MOCK = ROOT / "sftp-server" / "sftp-mock.py"
SERVED_AS = "/home/vinkOS/archivosVisitas"


@pytest.fixture
def mock_night(tmp_path: Path, database: str) -> Iterator[Night]:
    """A night whose server is the mock, which runs as a process."""
    night = Night(tmp_path, {"DATABASE_URL": database, "SFTP_REMOTE_DIR": SERVED_AS})
    command = [sys.executable, str(MOCK), "--port", "0", "--folder", str(night.source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = re.search(r"sftp://127\.0\.0\.1:(\d+)/", server.stdout.readline())
        assert port
        night.settings |= {"SFTP_PORT": port[1], "SFTP_KNOWN_HOSTS": str(ROOT / ".local" / "known_hosts")}
        yield night
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0


def session(night: Night) -> paramiko.SFTPClient:
    transport = paramiko.Transport(("127.0.0.1", int(night.settings["SFTP_PORT"])))
    transport.start_client()
    transport.auth_none("anybody")
    return paramiko.SFTPClient.from_transport(transport)  # type: ignore[return-value]


def test_a_night_against_the_mock(mock_night: Night) -> None:
    mock_night.deliver("report_1.txt", report(line()))
    done = mock_night.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert mock_night.statuses() == [("report_1.txt", "loaded")]
    assert list(mock_night.source.iterdir()) == []
    assert "remove /home/vinkOS/archivosVisitas/report_1.txt" in (ROOT / "logs" / "sftp_mock.log").read_text()


def test_nothing_outside_the_folder_can_be_reached(mock_night: Night) -> None:
    (mock_night.folder / "secret.txt").write_text("secret")
    (mock_night.source / "way_out.txt").symlink_to(mock_night.folder / "secret.txt")
    (mock_night.source / "inner").mkdir()
    sftp = session(mock_night)
    assert sftp.normalize(".") == SERVED_AS
    for path in ("/etc/passwd", "../secret.txt", f"{SERVED_AS}/../secret.txt", "way_out.txt", "/", "..", "inner/x", "/home"):
        for attempt in (sftp.stat, sftp.lstat, sftp.open, sftp.remove, sftp.listdir):
            with pytest.raises(OSError, match=r".+"):
                attempt(path)
    assert (mock_night.folder / "secret.txt").read_text() == "secret"
    sftp.close()


def test_reports_can_be_put_there(mock_night: Night) -> None:
    sftp = session(mock_night)
    with sftp.open("report_1.txt", "wb") as file:
        file.write(report(line()))
    assert [entry.filename for entry in sftp.listdir_attr(SERVED_AS)] == ["report_1.txt"]
    sftp.close()
    assert (mock_night.source / "report_1.txt").read_bytes() == report(line())


def test_only_the_loopback_is_served(mock_night: Night) -> None:
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    port = f":{int(mock_night.settings['SFTP_PORT']):04X} "
    assert {row.split()[1] for row in listening.splitlines() if port in row and " 0A " in row} == {f"0100007F{port.strip()}"}


def mock_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sftp_mock", MOCK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def served(mock: ModuleType, folder: Path, database: str, **changed: str) -> Iterator[Night]:
    """Yield a night whose server is a changed mock in this process."""
    mock.KNOWN_HOSTS = folder / "known_hosts"
    night = Night(folder, {"DATABASE_URL": database, "SFTP_REMOTE_DIR": SERVED_AS} | changed)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        mock.pin(mock.host_key(), port)
        thread = threading.Thread(target=mock.serve, args=(listener, mock.host_key(), night.source))
        thread.start()
        night.settings |= {"SFTP_PORT": str(port), "SFTP_KNOWN_HOSTS": str(mock.KNOWN_HOSTS)}
        try:
            yield night
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def test_hostile_names_are_refused(tmp_path: Path, database: str) -> None:
    mock = mock_module()
    honest = mock.Folder.list_folder

    def list_folder(self, path):
        names = ("report_../../x.txt", "report_/etc/passwd.txt", "report_\n.txt", f"report_{'x' * 300}.txt")
        return honest(self, path) + [paramiko.SFTPAttributes.from_stat(tmp_path.stat(), name) for name in names]

    mock.Folder.list_folder = list_folder
    with served(mock, tmp_path, database) as night:
        night.deliver("report_1.txt", report(line()))
        before = sorted(night.folder.iterdir())
        done = night.run()
        assert done.returncode == 3
        assert "refused by name: 4 files (report_../../x.txt, " in done.stderr
        assert r"report_\n.txt" in done.stderr
        assert night.statuses() == [("report_1.txt", "loaded")]
        assert set(night.folder.iterdir()) - set(before) <= {night.work, night.backups, night.logs}


def test_login_by_password_after_a_key_that_is_refused(tmp_path: Path, database: str, openssh: OpenSSH) -> None:
    mock = mock_module()
    asked = []

    class Guarded(mock.Anyone):
        def get_allowed_auths(self, username):
            return "publickey,password"

        def check_auth_none(self, username):
            return paramiko.AUTH_FAILED

        def check_auth_publickey(self, username, key):
            asked.append("key")
            return paramiko.AUTH_FAILED

        def check_auth_password(self, username, password):
            asked.append("password")
            return paramiko.AUTH_SUCCESSFUL if (username, password) == ("etl", "hunter2") else paramiko.AUTH_FAILED

    mock.Anyone = Guarded
    login = {"SFTP_USER": "etl", "SFTP_PASSWORD": "hunter2", "SFTP_KEY_FILE": str(openssh.folder / "user_key")}
    with served(mock, tmp_path, database, **login) as night:
        night.deliver("report_1.txt", report(line()))
        done = night.run("extract.py")
        assert (done.returncode, done.stderr) == (0, "")
        assert asked == ["key", "password"]
        assert "hunter2" not in "".join(path.read_text() for path in night.logs.iterdir())

"""known_hosts, read as OpenSSH reads it: a table of lines and of what they pin, compared with what ssh-keygen finds."""

import logging
import subprocess
from pathlib import Path
from typing import NamedTuple

import paramiko
import pytest

from base.settings import Settings
from base.trouble import StageError, Status
from kit.servers import OpenSSH
from sftp import known_hosts
from sftp.known_hosts import Pinned
from sftp.ssh import connect

A, B, C = (paramiko.ECDSAKey.generate() for _ in range(3))
RSA = paramiko.RSAKey.generate(2048)
KEYS = {"A": A, "B": B, "C": C, "R": RSA}
HOST, PORT, OTHER = "sftp.example.com", 22, 2222


def text(letter: str) -> str:
    """Return a key as a line has it."""
    return f"{KEYS[letter].get_name()} {KEYS[letter].get_base64()}"


class Row(NamedTuple):
    """The lines of a file, in which {A} is a key, and what they pin."""

    what: str
    lines: str
    good: str = ""  # letters of the keys
    host: str = HOST
    port: int = PORT
    revoked: str = ""
    certificates: bool = False
    passed_over: tuple[int, ...] = ()  # numbers of the lines that are malformed
    as_keygen: bool = True  # ssh-keygen -F finds the same


TABLE = [
    Row("nothing", ""),
    Row("plain", f"{HOST} {{A}}", "A"),
    Row("no line of that host", "other.example.com {A}"),
    Row("a part of the name", "sftp {A}\nexample.com {B}\nxsftp.example.com {C}"),
    Row("a comment behind the key", f"{HOST} {{A}} root@host since 2019", "A"),
    Row("comments and empty lines", f"# {HOST} {{B}}\n\n  # {HOST} {{B}}\n   \n{HOST} {{A}}\n", "A"),
    Row("a line that is indented", f"   \t{HOST} {{A}}", "A"),
    Row("tabs between", f"{HOST}\t{{A}}", "A"),
    Row("lines of Windows", f"{HOST} {{A}}\r\n{HOST} {{B}}\r\n", "AB"),
    Row("no end of the last line", f"{HOST} {{A}}\n{HOST} {{B}}", "AB"),
    Row("several keys of a type", f"{HOST} {{A}}\n{HOST} {{B}}", "AB"),
    Row("several types", f"{HOST} {{A}}\n{HOST} {{R}}", "AR"),
    Row("the same key twice", f"{HOST} {{A}}\n{HOST} {{A}}", "A"),
    Row("a list", f"one.example.com,{HOST},192.0.2.7 {{A}}", "A"),
    Row("an address", f"{HOST},192.0.2.7 {{A}}", "A", "192.0.2.7"),
    Row("an address of version 6", "2001:db8::1 {A}", "A", "2001:db8::1"),
    Row("an address of version 6 with a port", "[2001:db8::1]:2222 {A}", "A", "2001:db8::1", OTHER),
    Row("a star", "*.example.com {A}", "A"),
    Row("a star for all", "* {A}", "A"),
    Row("a star in the middle", "sftp.*.com {A}", "A"),
    Row("a star that stands for nothing", f"{HOST}* {{A}}", "A"),
    Row("a star that does not fit", "*.example.org {A}"),
    Row("a question mark", "sft?.example.com {A}", "A"),
    Row("a question mark that stands for nothing", f"{HOST}? {{A}}"),
    Row("brackets are no pattern", "sft[pq].example.com {A}"),
    Row("a dot is a dot", "sftpxexample.com {A}"),
    Row("an exception", f"*.example.com,!{HOST} {{A}}"),
    Row("an exception in front", f"!{HOST},*.example.com {{A}}"),
    Row("an exception of another", "*.example.com,!web.example.com {A}", "A"),
    Row("an exception with a star", "*,!*.example.com {A}"),
    Row("an exception alone", "!web.example.com {A}"),
    Row("an exception holds for its line", f"*.example.com,!{HOST} {{A}}\n{HOST} {{B}}", "B"),
    Row("capital letters there", "SFTP.Example.COM {A}", "A"),
    Row("capital letters here", f"{HOST} {{A}}", "A", "SFTP.Example.Com", as_keygen=False),  # it compares what it is given
    Row("a port", f"[{HOST}]:2222 {{A}}", "A", port=OTHER),
    Row("another port", f"[{HOST}]:2223 {{A}}", port=OTHER),
    Row("a port of a line, port 22 here", f"[{HOST}]:2222 {{A}}"),
    Row("a port with capital letters", "[SFTP.example.com]:2222 {A}", "A", port=OTHER),
    Row("a port with a star", "[*.example.com]:2222 {A}", "A", port=OTHER),
    Row("a port for which a star stands", f"[{HOST}]:* {{A}}", "A", port=OTHER),
    Row("a line without a port holds for every port", f"{HOST} {{A}}", "A", port=OTHER),
    Row("an exception of a port", f"*,![{HOST}]:2222,!{HOST} {{A}}", port=OTHER),
    Row("malformed: no key", f"{HOST}\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: no type", f"{HOST} {A.get_base64()}\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: garbage", f"garbage\n{HOST} {{A}}\n{HOST} ecdsa-sha2-nistp256 ???", "A", passed_over=(1, 3)),
    Row("malformed: the key of another type", f"{HOST} ssh-rsa {A.get_base64()}\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: a key that is cut", f"{HOST} ssh-rsa AAAA\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: half a key", f"{HOST} {text('A')[:100]}\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: a type alone", f"{HOST} ssh-rsa AAAAB3NzaC1yc2E=\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: of version 1 of SSH", f"{HOST} 1024 35 1234567890\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: a marker alone", f"@revoked\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: a marker and a host", f"@cert-authority {HOST}\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("malformed: another marker", f"@trusted {HOST} {{B}}\n{HOST} {{A}}", "A", passed_over=(1,)),
    Row("revoked", f"@revoked {HOST} {{A}}\n{HOST} {{B}}", "B", revoked="A"),
    Row("revoked and pinned", f"{HOST} {{A}}\n@revoked * {{A}}", "A", revoked="A"),
    Row("revoked for another host", f"@revoked web.example.com {{A}}\n{HOST} {{A}}", "A"),
    Row("revoked, at a port", f"@revoked [{HOST}]:2222 {{A}}\n{HOST} {{B}}", "B", port=OTHER, revoked="A"),
    Row("a certificate only", "@cert-authority *.example.com {A}", certificates=True),
    Row("a certificate besides", f"@cert-authority {HOST} {{A}}\n{HOST} {{B}}", "B", certificates=True),
    Row("a certificate of another host", f"@cert-authority web.example.com {{A}}\n{HOST} {{B}}", "B"),
    Row("a hash that is none", f"|1|x|y {{B}}\n|1| {{B}}\n|2|AAAA|AAAA {{B}}\n{HOST} {{A}}", "A"),
]


def write(folder: Path, row: Row) -> Path:
    path = folder / "known_hosts"
    lines = row.lines
    for letter in KEYS:
        lines = lines.replace(f"{{{letter}}}", text(letter))
    path.write_bytes(lines.encode())
    return path


def letters(keys: set[tuple[str, bytes]]) -> str:
    return "".join(sorted(letter for letter, key in KEYS.items() if (key.get_name(), key.asbytes()) in keys))


def assert_pins(pinned: Pinned, row: Row) -> None:
    assert (letters(pinned.keys), letters(pinned.revoked), pinned.trusts_certificates) == (
        row.good,
        row.revoked,
        row.certificates,
    )
    assert (len(pinned.keys), len(pinned.revoked)) == (len(row.good), len(row.revoked))


def found_by_keygen(path: Path, host: str, port: int) -> dict[str, set[str]]:
    """Return the keys that ssh-keygen finds, by their marker; ssh asks for the host without its port too."""
    found: dict[str, set[str]] = {"": set(), "@revoked": set(), "@cert-authority": set()}
    for name in [host] if port == 22 else [f"[{host}]:{port}", host]:
        done = subprocess.run(["ssh-keygen", "-F", name, "-f", path], check=False, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if not line.startswith("#"):
                marker, *fields = line.split() if line.startswith("@") else ("", *line.split())
                found[marker].add(fields[2])
    return found


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what.replace(" ", "-"))
def test_what_is_pinned(row: Row, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "etl.sftp")
    path = write(tmp_path, row)
    assert_pins(known_hosts.read(path, row.host, row.port), row)
    assert [record.args[0] for record in caplog.records] == list(row.passed_over)  # type: ignore[index]
    if row.as_keygen and not row.passed_over:  # ssh-keygen -F does not look at the keys
        found = found_by_keygen(path, row.host, row.port)
        assert found[""] == {KEYS[letter].get_base64() for letter in row.good}
        assert found["@revoked"] == {KEYS[letter].get_base64() for letter in row.revoked}
        assert bool(found["@cert-authority"]) == row.certificates


PLAIN = [row for row in TABLE if row.good and not row.passed_over and not set("*?!@#\r") & set(row.lines)]
HASHED = [row for row in PLAIN if "capital" not in row.what]  # ssh-keygen hashes a name as it is spelt


@pytest.mark.parametrize("row", HASHED, ids=lambda row: row.what.replace(" ", "-"))
def test_what_is_pinned_by_a_hash(row: Row, tmp_path: Path) -> None:
    path = write(tmp_path, row)
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if line.strip()))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert HOST not in path.read_text()
    assert "|1|" in path.read_text()
    assert_pins(known_hosts.read(path, row.host, row.port), row)


def test_key_types_that_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, Row("", f"{HOST} {{R}}\n{HOST} {{A}}"))
    assert known_hosts.read(path, HOST, PORT).types == ["ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]


def test_no_file(tmp_path: Path) -> None:
    assert known_hosts.read(tmp_path / "known_hosts", HOST, PORT) == Pinned()


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"\xff\xfe\0 \xe9\n" + f"{HOST} {text('A')} Andr\xe9\n".encode("latin-1"))
    assert letters(known_hosts.read(path, HOST, PORT).keys) == "A"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=f"SFTP_KNOWN_HOSTS {tmp_path} cannot be read: Is a directory") as trouble:
        known_hosts.read(tmp_path, HOST, PORT)
    assert trouble.value.status == Status.SETTINGS


@pytest.mark.parametrize(
    ("lines", "port", "words"),
    [
        (f"{HOST} {{A}}", PORT, ""),
        (f"{HOST} {{B}}\n{HOST} {{A}}", PORT, ""),
        (f"{HOST} {{A}}", OTHER, ""),
        ("", PORT, f"the host key of {HOST} is unknown: "),
        (f"[{HOST}]:2222 {{A}}", PORT, f"the host key of {HOST} is unknown: "),
        (f"{HOST} {{B}}", PORT, f"the host key of {HOST} has changed to "),
        (f"{HOST} {{R}}", PORT, f"the host key of {HOST} has changed to "),
        (f"{HOST} {{A}}\n@revoked {HOST} {{A}}", PORT, f"the host key of {HOST} is revoked: "),
        ("@revoked * {A}", OTHER, f"the host key of {HOST} is revoked: "),
        (f"@revoked * {{B}}\n{HOST} {{A}}", PORT, ""),
        ("@cert-authority * {B}", PORT, "certificates of hosts are not supported"),
        (f"@cert-authority * {{B}}\n{HOST} {{A}}", PORT, ""),
    ],
)
@pytest.mark.parametrize("case", [str, str.upper])
def test_verdicts(lines: str, port: int, words: str, case: type[str], tmp_path: Path) -> None:
    """The server has key A. Every refusal names the key and gives the line that would pin it."""
    path = write(tmp_path, Row("", lines))
    pinned = known_hosts.read(path, case(HOST), port)
    if not words:
        known_hosts.verify(A, pinned, HOST, port, path)
        return
    with pytest.raises(StageError) as trouble:
        known_hosts.verify(A, pinned, HOST, port, path)
    said = str(trouble.value)
    assert trouble.value.status == Status.SFTP
    assert words in said
    assert A.fingerprint in said
    if "revoked" not in words:
        path.write_text(said[said.rindex(": ") + 2 :] + "\n")
        known_hosts.verify(A, known_hosts.read(path, HOST, port), HOST, port, path)


@pytest.mark.parametrize("spelt", ["localhost", "LocalHost", "127.0.0.1"])
@pytest.mark.parametrize("hashed", [False, True])
def test_at_a_real_server(openssh: OpenSSH, tmp_path: Path, spelt: str, hashed: bool) -> None:
    """With keys of other servers of that name, a host in capital letters, and lines that help nobody."""
    pin = " ".join((openssh.folder / "host_key.pub").read_text().split()[:2])
    names = f"[{spelt.lower()}]:{openssh.port}"
    path = write(tmp_path, Row("", f"{names} {{A}}\n{names} {pin}\ngarbage\n@cert-authority web {{B}}\n@revoked web {{C}}\n"))
    if hashed:
        path.write_text(path.read_text().replace("garbage\n", ""))  # of which ssh-keygen makes nothing
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    wanted = openssh.settings() | {"SFTP_HOST": spelt, "SFTP_KNOWN_HOSTS": str(path)}
    transport = connect(Settings(**{name.lower(): value for name, value in wanted.items()}))
    assert transport.is_authenticated()
    transport.close()

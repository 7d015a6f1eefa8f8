"""Zips at rest: only who has the identity opens them, and the night has none."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive import archive
from backup.encryption import encrypt
from base.settings import ROOT
from base.trouble import StageError
from base.workdir import WorkDir
from kit.age import Key, make_key, open_with_age
from kit.night import Night
from kit.quick_nights import QuickNights
from kit.samples import line, report
from postgres import ledger
from postgres.database import Database

CONTENT = report(line("ana@example.com"), b"broken\r\n")


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return make_key(tmp_path / "identity")


@pytest.fixture
def nights(tmp_path: Path, database: str, key: Key) -> QuickNights:
    return QuickNights(tmp_path, database, backup_recipients=key.recipient)


def the_zip(nights: QuickNights) -> Path:
    (path,) = nights.backups.iterdir()
    return path


def test_the_age_tool_opens_it(night: Night, key: Key) -> None:
    other = make_key(key.file.with_name("other"))
    night.settings["BACKUP_RECIPIENTS"] = f"{key.recipient}, {other.recipient}"
    night.deliver("report_1.txt", CONTENT)
    assert night.run().returncode == 0
    (path,) = night.backups.iterdir()
    assert path.name.endswith(".zip.age")
    assert b"ana@example.com" not in path.read_bytes()
    for each in (key, other):
        with zipfile.ZipFile(io.BytesIO(open_with_age(path, each.file))) as opened:
            assert opened.read("report_1.txt") == CONTENT
    assert list(night.source.iterdir()) == night.left_in_work() == []
    assert night.sql("select sha256 is null, bytes, files, proved_at is null from load_zip where name = %s", path.name) == [
        (False, path.stat().st_size, 1, False)
    ]


def test_without_the_identity_the_bytes_are_compared(nights: QuickNights) -> None:
    nights.night([CONTENT])
    path = the_zip(nights)
    good = nights.command("verify-backups")
    assert good.stdout == (
        f"1 zip with 1 report in {nights.backups}: no flaws.\n"
        "1 encrypted zip compared by size and SHA-256 alone: BACKUP_IDENTITY_FILE is not set.\n"
    )
    content = path.read_bytes()
    for bad in (content[:-1], content + b"x", bytes([content[0] ^ 1]) + content[1:]):
        path.write_bytes(bad)
        found = nights.command("verify-backups")
        assert found.returncode == 13
        assert f"{path.name}: its size or its SHA-256 differs from the load log\n" in found.stdout
    path.unlink()
    assert f"{path.name}: missing\n" in nights.command("verify-backups").stdout


def test_with_the_identity_the_zip_is_opened(nights: QuickNights, key: Key) -> None:
    nights.night([CONTENT])
    identity = {"BACKUP_IDENTITY_FILE": str(key.file)}
    good = nights.command("verify-backups", **identity)
    assert (good.returncode, good.stdout) == (0, f"1 zip with 1 report in {nights.backups}: no flaws.\n")
    drill = nights.command("restore-drill", **identity)
    assert (drill.returncode, drill.stdout) == (0, "1 file, 1 statistics and 1 visitor compared: no differences.\n")
    nights.sql("update load_file set sha256 = repeat('0', 64)")
    assert "another SHA-256" in nights.command("verify-backups", **identity).stdout


def no_identities(folder: Path, right: Path) -> Iterator[tuple[Path | None, str]]:
    """Yield files that open nothing, and what is said of each."""
    make_key(folder / "wrong")
    (folder / "binary").write_bytes(b"\xff\x00")
    (folder / "cut").write_text(right.read_text()[:-9])
    (folder / "empty").write_text("# nothing\n")
    yield folder / "wrong", "is encrypted, and BACKUP_IDENTITY_FILE holds no identity that opens it."
    yield folder / "none", f"BACKUP_IDENTITY_FILE: {folder}/none: No such file or directory."
    yield folder, f"BACKUP_IDENTITY_FILE: {folder}: Is a directory."
    for name in ("binary", "cut", "empty"):
        yield folder / name, f"BACKUP_IDENTITY_FILE: {folder}/{name} holds no age identity, or holds something else."


def test_an_identity_that_opens_nothing_is_one_sentence(nights: QuickNights, key: Key, tmp_path: Path) -> None:
    nights.night([CONTENT])
    secret = key.file.read_text().split()[-1]
    for path, said in no_identities(tmp_path, key.file):
        for command in ("verify-backups", "restore-drill"):
            done = nights.command(command, BACKUP_IDENTITY_FILE=str(path))
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), path
            assert said in done.stderr
            assert secret[:20] not in done.stderr
    done = nights.command("restore-drill")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is encrypted, and BACKUP_IDENTITY_FILE is not set." in done.stderr
    assert nights.sql("select count(*) from pg_database where datname like 'visitas_drill%%'") == [(0,)]


def test_a_line_in_an_encrypted_zip_is_explained(nights: QuickNights, key: Key) -> None:
    nights.night([CONTENT])
    asked = ("explain", "--file", "report_1.txt", "--line", "9")
    assert "is encrypted, and BACKUP_IDENTITY_FILE is not set." in nights.command(*asked).stdout
    assert "Line 9 does not exist: the report in" in nights.command(*asked, BACKUP_IDENTITY_FILE=str(key.file)).stdout


def test_the_night_reads_no_identity(night: Night, key: Key, tmp_path: Path) -> None:
    night.deliver("report_1.txt", CONTENT)
    assert night.run(BACKUP_RECIPIENTS=key.recipient, BACKUP_IDENTITY_FILE=str(tmp_path / "away")).returncode == 0


@pytest.mark.parametrize("keys", ["age1", "ssh-ed25519 AAAA", "{},", "{}x", "{} {}", "{};{}", "{secret}"])
def test_what_is_no_public_key_is_a_setting_problem(night: Night, key: Key, keys: str) -> None:
    secret = key.file.read_text().split()[-1]
    done = night.run("archive.py", BACKUP_RECIPIENTS=keys.format(key.recipient, key.recipient, secret=secret))
    assert done.returncode == 2
    assert "BACKUP_RECIPIENTS: not public keys of age" in done.stderr
    assert secret not in done.stderr


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_kill_around_the_rename(nights: QuickNights, is_kept: bool) -> None:
    """The hash is entered before the rename: the next run knows by it whether the zip is in place, without a key."""
    nights.night([CONTENT])
    first = the_zip(nights)
    nights.sql("update load_file set archived_at = null")
    nights.sql("update load_zip set proved_at = null")
    report_1 = nights.folder / "work" / "report_1.txt"
    report_1.write_bytes(CONTENT)
    nights.sql("update load_file set source_mtime = to_timestamp(%s)", int(report_1.stat().st_mtime))
    if not is_kept:  # the kill came before the rename
        first.rename(first.with_name(f".{first.name}.part"))
    settings = nights.settings()
    archive(Database(settings), WorkDir(settings), settings)
    zips = nights.sql("select name, proved_at is not null from load_zip order by 1")
    in_use = nights.sql("select archive_name from load_file where archived_at is not null")
    if is_kept:
        assert zips == [(first.name, True)]
    assert in_use == [(the_zip(nights).name,)]
    assert (the_zip(nights).name, True) in zips
    assert nights.command("verify-backups").returncode == 0


def test_a_disk_that_changes_bytes_is_noticed(nights: QuickNights, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaging(clear: io.BufferedRandom, target: io.BufferedRandom, recipients: str) -> object:
        stamp = encrypt(clear, target, recipients)
        target.seek(40)
        target.write(b"!")
        target.flush()
        return stamp

    monkeypatch.setattr("backup.zips.encrypt", damaging)
    with pytest.raises(StageError, match="other bytes than were written"):
        nights.night([CONTENT])
    assert list(nights.backups.iterdir()) == []
    assert Database(nights.settings()).run(ledger.archived_entries) == {}


def test_leftovers_go_even_if_nothing_is_to_be_zipped(nights: QuickNights) -> None:
    nights.backups.mkdir()
    leftover = nights.backups / ".visitas_2013-02-15_000200.zip.part"
    leftover.write_bytes(b"in clear")
    nights.night([])
    assert not leftover.exists()


ENCRYPT_AND_DECRYPT = f"""
import re, sys, tempfile
sys.path.insert(0, {str(ROOT / "etl")!r})
from pathlib import Path
from backup.encryption import encrypt, open_clear
from pyrage.x25519 import Identity
key = Identity.generate()
path = Path(sys.argv[1])
with tempfile.TemporaryFile(dir=path.parent) as clear, path.open("xb") as target:
    for _ in range(128):
        clear.write(bytes(1 << 20))
    encrypt(clear, target, str(key.to_public()))
with open_clear(path, [key]) as clear:
    assert sum(len(block) for block in iter(lambda: clear.read(1 << 20), b"")) == 128 << 20
print(re.search("VmHWM:[^0-9]+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_no_zip_is_held_in_memory(tmp_path: Path) -> None:
    """128 MiB are encrypted and decrypted in less memory than that."""
    done = subprocess.run(
        [sys.executable, "-c", ENCRYPT_AND_DECRYPT, str(tmp_path / "x.zip.age")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 96 << 10  # kB

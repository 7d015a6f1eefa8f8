"""What another user could have changed or planted is refused: a table of modes, owners and links for each kind of file."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from base import trust
from base.files import make_new, open_plain, temporary_folder, whole_file
from base.trouble import StageError, Status

FILES = [name for name, rule in trust.RULES.items() if rule.status is Status.SETTINGS]
FOLDERS = [name for name, rule in trust.RULES.items() if rule.status is Status.DISK]
SECRETS = [name for name, rule in trust.RULES.items() if rule is trust.SECRET]
SOMEBODY = 12345
GOOD = ""
ALL, GROUP, OWNER, LINK = (
    "can be changed by everybody",
    "can be changed by its group",
    "belongs to another user (id 12345)",
    "is a link",
)

OWN = ["WORK_DIR", "LANDING_URL"]

# The mode of a file, and what is wrong with it: as a secret, as another file.
FILE_MODES = [
    (0o600, GOOD, GOOD),
    (0o400, GOOD, GOOD),
    (0o644, GOOD, GOOD),  # make check names the secret
    (0o660, GROUP, GOOD),
    (0o620, GROUP, GOOD),
    (0o602, ALL, ALL),
    (0o666, ALL, ALL),
    (0o1666, ALL, ALL),  # a sticky file is nothing
]
# The mode of a folder, and what is wrong with it: as our own, as another folder.
FOLDER_MODES = [
    (0o700, GOOD, GOOD),
    (0o755, GOOD, GOOD),
    (0o770, GROUP, GOOD),
    (0o2775, GROUP, GOOD),
    (0o777, ALL, ALL),
    (0o707, ALL, ALL),
    (0o1777, ALL, GOOD),
]


def complaint(name: str, path: Path) -> str:
    """Return what is wrong with a file or a folder, nothing if it is good."""
    try:
        if name in FILES and path.exists():
            assert trust.read(name, path) == b"x"
        else:
            trust.verify(name, path)
    except StageError as error:
        status, fact, hint = error.args
        assert status == trust.RULES[name].status
        assert fact.startswith(f"{name} {path} ")
        assert hint.startswith("look at what it holds, then ")
        return str(fact.removeprefix(f"{name} {path} ").removesuffix("."))
    return GOOD


def make(name: str, path: Path, mode: int) -> Path:
    """Make a file or a folder for a rule."""
    if name in FILES:
        path.write_bytes(b"x")
    else:
        path.mkdir()
    path.chmod(mode)
    return path


@pytest.mark.parametrize("name", trust.RULES)
def test_modes(tmp_path: Path, name: str) -> None:
    for number, (mode, strict, other) in enumerate(FILE_MODES if name in FILES else FOLDER_MODES):
        expected = strict if name in (*SECRETS, *OWN) else other
        assert complaint(name, make(name, tmp_path / str(number), mode)) == expected, oct(mode)


@pytest.mark.parametrize("name", trust.RULES)
def test_a_link_of_ours(tmp_path: Path, name: str) -> None:
    """It is followed, and what it leads to counts; but a folder of our own is none."""
    good, bad = make(name, tmp_path / "good", 0o700), make(name, tmp_path / "bad", 0o777)
    (link := tmp_path / "link").symlink_to(good)
    assert complaint(name, link) == (LINK if name in OWN else GOOD)
    (other := tmp_path / "other").symlink_to(bad)
    assert complaint(name, other) == (LINK if name in OWN else ALL)
    (loop := tmp_path / "loop").symlink_to(loop)
    assert complaint(name, loop) == (LINK if name in OWN else GOOD)  # there is nothing


@pytest.mark.parametrize("name", trust.RULES)
def test_a_folder_above_that_everybody_may_write_to(tmp_path: Path, name: str) -> None:
    """Everybody could put something else in its place; not in a sticky folder, where /tmp/visitas is."""
    (above := tmp_path / "above" / "one more").mkdir(parents=True)
    path = make(name, above / "it", 0o700)
    (link := tmp_path / "link").symlink_to(above)
    assert complaint(name, path) == GOOD
    above.parent.chmod(0o777)
    said = f"can be exchanged by everybody who may write to {above.parent}"
    assert [complaint(name, place) for place in (path, link / "it", above / "not there yet")] == [said] * 3
    above.parent.chmod(0o1777)
    assert complaint(name, path) == GOOD


@pytest.mark.root("give a file away")
@pytest.mark.parametrize("name", trust.RULES)
def test_owners(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(name, tmp_path / "it", 0o700)
    os.chown(path, SOMEBODY, SOMEBODY)
    is_collectors = name == "folder of METRICS_FILE"
    assert complaint(name, path) == (GOOD if is_collectors else OWNER)
    (link := tmp_path / "link").symlink_to(make(name, tmp_path / "ours", 0o700))
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    assert complaint(name, link) == (LINK if name in OWN else OWNER)
    # Where the program is that user's own, as a checkout may be that root works in, that user is trusted.
    monkeypatch.setattr(trust, "TRUSTED", {0, SOMEBODY})
    assert complaint(name, path) == (OWNER if name in OWN else GOOD)


def test_the_owner_of_the_program_is_trusted() -> None:
    assert {0, os.geteuid(), Path(trust.__file__).stat().st_uid} <= trust.TRUSTED


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_no_folder(tmp_path: Path, name: str) -> None:
    (path := tmp_path / "file").touch()
    assert complaint(name, path) == "is not a folder"


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    """A device keeps nothing. A pipe of ours is read to its end; one without a writer holds up nobody."""
    assert trust.read("settings file", Path("/dev/null")) == b""
    os.mkfifo(pipe := tmp_path / "pipe", 0o600)
    assert trust.read("settings file", pipe) == b""
    source, sink = os.pipe()
    writer = threading.Timer(0.2, lambda: (os.write(sink, b"x"), os.close(sink)))
    writer.start()
    assert trust.read("settings file", Path(f"/dev/fd/{source}")) == b"x"
    os.close(source)


@pytest.mark.parametrize(
    ("mode", "cure"),
    [(0o600, None), (0o400, None), (0o640, "chmod 600"), (0o604, "chmod 600"), (0o644, "chmod 600"), (0o601, "chmod 600")],
)
def test_who_can_read_a_secret(tmp_path: Path, mode: int, cure: str | None) -> None:
    (path := tmp_path / "a key").touch()
    path.chmod(mode)
    assert trust.cure_for_readers(path) == (cure and f"{cure} '{path}'")


@pytest.mark.root("give a file away")
def test_a_secret_that_this_user_reads_by_the_group(tmp_path: Path) -> None:
    (path := tmp_path / "key").touch(0o640)
    os.chown(path, SOMEBODY, SOMEBODY)
    path.chmod(0o640)
    assert trust.cure_for_readers(path) is None
    path.chmod(0o644)
    assert trust.cure_for_readers(path) == f"chmod 640 {path}"


def as_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def as_dangling_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("new"))


def as_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def as_pipe_with_a_reader(path: Path, _: Path) -> None:
    os.mkfifo(path)
    os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def as_anothers(path: Path, _: Path) -> None:
    path.write_text("planted")
    path.chmod(0o666)
    os.chown(path, SOMEBODY, SOMEBODY)


PLANTED = [
    as_link,
    as_dangling_link,
    as_pipe,
    as_pipe_with_a_reader,
    pytest.param(as_anothers, marks=pytest.mark.root("give a file away")),
]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that a link leads to."""
    (path := tmp_path / "elsewhere" / "victim").parent.mkdir()
    path.write_text("old")
    return path


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("mode", ["a", "r", "w"])
def test_nothing_planted_is_opened(tmp_path: Path, victim: Path, plant: Callable[[Path, Path], None], mode: str) -> None:
    plant(path := tmp_path / "it", victim)
    refused = pytest.raises(StageError, match="is a link, no file, or another user's")
    with refused, open(path, mode, opener=trust.open_mine):
        pass
    assert [(file.name, file.read_text()) for file in victim.parent.iterdir()] == [("victim", "old")]


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("name", ["it", ".it.part"])
def test_nothing_planted_is_written_through(tmp_path: Path, victim: Path, plant: Callable[[Path, Path], None], name: str) -> None:
    plant(tmp_path / name, victim)
    with whole_file(tmp_path / "it") as file:
        file.write(b"new")
    assert (tmp_path / "it").read_text() == "new"
    assert not (tmp_path / "it").is_symlink()
    assert not (tmp_path / ".it.part").exists()
    assert [(file.name, file.read_text()) for file in victim.parent.iterdir()] == [("victim", "old")]


@pytest.mark.parametrize("plant", PLANTED)
def test_a_new_file_is_new(tmp_path: Path, victim: Path, plant: Callable[[Path, Path], None]) -> None:
    plant(path := tmp_path / "it", victim)
    with pytest.raises(FileExistsError):
        make_new(path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_made_is_this_users_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "whole"), make_new(tmp_path / "new"), open(tmp_path / "log", "a", opener=trust.open_mine):
            pass
        with temporary_folder() as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_pipe_in_the_place_of_a_zip_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open_plain(tmp_path / "pipe") as file:
        assert file.read() == b""


def test_temporary_folders_of_killed_processes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of living processes stay."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (killed := tmp_path / "visitas-scratch-killed" / "staged").mkdir(parents=True)
    (killed / "report_1.txt").touch()
    (tmp_path / "visitas-scratch-file").touch()
    (tmp_path / "visitas-scratch-link").symlink_to(killed)
    (tmp_path / "other").mkdir()
    with temporary_folder() as first, temporary_folder() as second:
        assert first != second
        assert {path.name for path in tmp_path.iterdir()} == {
            first.name,
            second.name,
            "visitas-scratch-file",
            "visitas-scratch-link",
            "other",
        }
    assert {path.name for path in tmp_path.iterdir()} == {"visitas-scratch-file", "visitas-scratch-link", "other"}

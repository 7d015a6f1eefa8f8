"""The law of conservation between the server and here: no report is lost, and none is cut."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kit.night import Night


def digest(content: bytes) -> str:
    """Return a content's name in a failure: short, and with its size."""
    return f"{hashlib.sha256(content).hexdigest()[:12]} ({len(content)} bytes)"


def digests(contents: Iterable[bytes]) -> set[str]:
    """Return the contents' names."""
    return {digest(content) for content in contents}


def on_server(folder: Path) -> dict[str, bytes]:
    """Return the files that lie on the server, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()}


def in_zips(night: Night) -> Iterator[bytes]:
    """Yield the reports in the backup folder, read out of their zips."""
    for path in night.backups.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(entry) for entry in archive.namelist() if entry != "manifest.json")


def in_work(night: Night) -> Iterator[bytes]:
    """Yield the whole reports in the work directory."""
    for path in night.work.glob("report_*"):
        yield path.read_bytes()


def assert_conserved(night: Night, before: Mapping[str, bytes], grown: Mapping[str, bytes]) -> None:
    """Assert that what was on the server is in a zip, on the server or in work, and that nothing else is in a zip or in work.

    ``before`` is what lay on the server before the first night; ``grown`` is the last content of files that grew since.
    """
    last = digests((dict(before) | dict(grown)).values())
    zipped, working = digests(in_zips(night)), digests(in_work(night))
    left = digests(on_server(night.source).values())
    assert last <= zipped | working | left, f"lost: {last - zipped - working - left}"
    assert zipped | working <= last, f"cut: {(zipped | working) - last}"

"""The landing folder: where a night's reports lie for the workers, and the one reading that takes them there."""

from typing import IO

from pyarrow import fs

from base.progress import progress_reader
from base.workdir import Report
from parsing.lines import Readable
from spark.pieces import Survey, survey


class Landing:
    """A folder of its own in LANDING_URL, empty between two nights."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/night"

    def clear(self) -> None:
        """Delete what is there, also of a night that was killed."""
        filesystem, path = fs.FileSystem.from_uri(self._url)
        if filesystem.get_file_info(path).type != fs.FileType.NotFound:
            filesystem.delete_dir(path)
        filesystem.create_dir(path, recursive=True)

    def url(self, name: int | str) -> str:
        """Return where the file of this name lies; a report's name is its number."""
        return f"{self._url}/{name}"

    def take(self, numbered: tuple[int, Report]) -> Survey:
        """Copy a report, and return what the same reading shows of it."""
        number, report = numbered
        filesystem, path = fs.FileSystem.from_uri(self.url(number))
        with report.path.open("rb") as file, filesystem.open_output_stream(path) as copy:
            return survey(Copied(progress_reader(file), copy))


class Copied:
    """A file that is copied while it is read."""

    def __init__(self, file: Readable, copy: IO[bytes]) -> None:
        self._file = file
        self._copy = copy

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        block = self._file.read(size)
        self._copy.write(block)
        return block

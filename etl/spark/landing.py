"""The landing folder: where a night's reports lie for the workers, and the one reading that takes them there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pyarrow import ArrowInvalid, fs

from base.masking import clean
from base.progress import progress_reader
from base.trouble import StageError, Status
from base.workdir import Report
from parsing.lines import Readable
from spark.pieces import Survey, survey


class Landing:
    """A folder of its own in LANDING_URL; whoever uses it clears it before and after."""

    def __init__(self, url: str, name: str = "visitas_night") -> None:
        self._url = f"{url.rstrip('/')}/{name}"

    def clear(self) -> None:
        """Delete what is there, also of a night that was killed."""
        with place_named(self._url):
            filesystem, path = fs.FileSystem.from_uri(self._url)
            if filesystem.get_file_info(path).type != fs.FileType.NotFound:
                filesystem.delete_dir(path)

    def url(self, name: int | str) -> str:
        """Return where the file of this name lies; a report's name is its number."""
        return f"{self._url}/{name}"

    def open(self, name: int | str) -> IO[bytes]:
        """Open a new file of this name, to be written."""
        filesystem, path = fs.FileSystem.from_uri(self._url)
        filesystem.create_dir(path, recursive=True)
        stream: IO[bytes] = filesystem.open_output_stream(f"{path}/{name}")
        return stream

    def take(self, number: int, report: Report) -> Survey:
        """Copy a report, and return what the same reading shows of it."""
        with report.path.open("rb") as file, place_named(self._url), self.open(number) as copy:
            return survey(Copied(progress_reader(file), copy))


@contextmanager
def place_named(url: str) -> Iterator[None]:
    """Name the place in Arrow's errors."""
    try:
        yield
    except (OSError, ArrowInvalid) as error:
        hint = "can this user write there? Does Arrow know such an address?"
        raise StageError(Status.DISK, f"{url}: {clean(str(error)).removesuffix('.')}.", hint) from error


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

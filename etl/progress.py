"""The progress bar of this process: bytes, rate and remaining time on a terminal, and nothing of the kind anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

bars: list["tqdm[Any]"] = []


@contextmanager
def progress(what: str, total: int) -> Iterator[None]:
    """Show how the block gets on with so many bytes."""
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        bars.append(bar)
        try:
            yield
        finally:
            bars.remove(bar)


def advance(done: int) -> None:
    """Say that so many more bytes are done."""
    for bar in bars:
        bar.update(done)


def watched(file: Any) -> IO[bytes]:
    """Return the file, whose every ``read`` advances the bar."""
    return CallbackIOWrapper(advance, file, "read")  # type: ignore[return-value]  # it passes on everything

"""The progress bar of this process and its workers: bytes, rate and remaining time on a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Value
from multiprocessing.sharedctypes import Synchronized
from typing import IO, Any

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

tqdm.monitor_interval = 0  # no thread of its own: workers are forked, and threads do not go with them

bars: list[tuple["tqdm[Any]", "Synchronized[int]"]] = []  # each with the bytes that all processes have done


@contextmanager
def progress(what: str, total: int) -> Iterator[None]:
    """Show how the block gets on with so many bytes."""
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        if not bar.disable:
            bars.append((bar, Value("Q")))
        try:
            yield
        finally:
            bars.clear()


def advance(done: int) -> None:
    """Say that so many more bytes are done."""
    for bar, so_far in bars:
        with so_far:
            so_far.value += done
            bar.n = so_far.value
            bar.update(0)  # before another process shows more


def progress_reader(file: Any) -> IO[bytes]:
    """Return the file, whose every ``read`` advances the bar."""
    return CallbackIOWrapper(advance, file, "read")  # type: ignore[return-value]  # it passes on everything

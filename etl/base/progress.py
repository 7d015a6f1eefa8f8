"""The progress bar of a script and the processes that it forks: bytes, rate and remaining time, on a terminal only."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Value
from multiprocessing.sharedctypes import Synchronized
from typing import IO, Any

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

tqdm.monitor_interval = 0  # tqdm starts no thread: a fork does not copy threads

bars: list[tuple["tqdm[Any]", "Synchronized[int]"]] = []  # one or none; the number is the bytes done by all processes


@contextmanager
def progress(what: str, total: int) -> Iterator[None]:
    """Show a bar named ``what`` while the block works through ``total`` bytes."""
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        if not bar.disable:
            bars.append((bar, Value("Q")))
        try:
            yield
        finally:
            bars.clear()


def advance(done: int) -> None:
    """Move the bar forward by ``done`` bytes, if there is a bar."""
    for bar, so_far in bars:
        with so_far:
            so_far.value += done
            bar.n = so_far.value
            bar.update(0)  # inside the lock, so that the bar never goes back


def progress_reader(file: Any) -> IO[bytes]:
    """Return a wrapper of the file: every ``read`` moves the bar forward."""
    return CallbackIOWrapper(advance, file, "read")  # type: ignore[return-value]  # the wrapper passes on every other call

"""Time limits: when a block takes too long, its connection is cut."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread

TICK = 0.5  # seconds between two looks of the guard

Cut = Callable[[], object]  # breaks a connection


class Guard(Thread):
    """The one thread that watches all blocks with a time limit: a thread for each block costs more than loading a small file."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._lock = Lock()
        self._blocks: dict[object, tuple[float, Cut]] = {}  # deadline on the monotonic clock, and what cuts the connection

    def add(self, block: object, deadline: float, cut: Cut) -> None:
        """Watch a block from now on."""
        with self._lock:
            self._blocks[block] = deadline, cut
            if not self.is_alive():
                self.start()

    def remove(self, block: object) -> None:
        """Stop watching a block that has ended."""
        with self._lock:
            self._blocks.pop(block, None)

    def run(self) -> None:
        """Cut each late block once, in a thread of its own: a cut may take long, or fail."""
        while True:
            time.sleep(TICK)
            with self._lock:
                for block, (deadline, cut) in list(self._blocks.items()):
                    if time.monotonic() > deadline:
                        del self._blocks[block]
                        Thread(target=cut, daemon=True).start()


guard = Guard()
os.register_at_fork(after_in_child=guard.__init__)  # type: ignore[misc]  # a fork does not copy threads


@contextmanager
def watchdog(seconds: float, cut: Cut) -> Iterator[None]:
    """Call ``cut`` if the block takes longer than ``seconds``: the block's wait on its connection then ends in an error."""
    guard.add(block := object(), time.monotonic() + seconds, cut)
    try:
        yield
    finally:
        guard.remove(block)

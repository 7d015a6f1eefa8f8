"""Time limits: a block that takes too long has its connection cut."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread

TICK = 0.5  # seconds between two looks of the watchdog

Cut = Callable[[], object]  # breaks a connection


class Guard(Thread):
    """Looks after all blocks with a time limit: a thread for each costs more than the load of a small file."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._lock = Lock()
        self._blocks: dict[object, tuple[float, Cut]] = {}  # when it must have ended, and what ends it

    def add(self, block: object, deadline: float, cut: Cut) -> None:
        """Look after a block from now on."""
        with self._lock:
            self._blocks[block] = deadline, cut
            if not self.is_alive():
                self.start()

    def remove(self, block: object) -> None:
        """Let a block be: it has ended."""
        with self._lock:
            self._blocks.pop(block, None)

    def run(self) -> None:
        """Cut what is late, each once and in a thread of its own: it may take its time, or fail."""
        while True:
            time.sleep(TICK)
            with self._lock:
                for block, (deadline, cut) in list(self._blocks.items()):
                    if time.monotonic() > deadline:
                        del self._blocks[block]
                        Thread(target=cut, daemon=True).start()


guard = Guard()
os.register_at_fork(after_in_child=guard.__init__)  # type: ignore[misc]  # a thread does not go with a fork


@contextmanager
def watchdog(seconds: float, cut: Cut) -> Iterator[None]:
    """Cut the connection that the block waits on if it takes longer than ``seconds``: the wait then ends in an error."""
    guard.add(block := object(), time.monotonic() + seconds, cut)
    try:
        yield
    finally:
        guard.remove(block)

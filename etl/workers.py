"""Workers: processes that share the work of a script that would keep one processor busy and leave the others idle."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from trouble import StageError, Status

Item = TypeVar("Item")
Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1  # from linux/prctl.h
SHARES = 100  # parts that the items are handed out in: few enough for small items, many enough to end at the same time


def shared_out(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield what ``work`` makes of every item, in order; each processor that this process may use has one at a time.

    An exception ends the work and is raised: items that are begun are finished, the others are left. Whatever
    kills a worker ends the work too; whatever kills this process kills its workers.
    """
    count = min(len(os.sched_getaffinity(0)), len(items))
    if count < 2:
        yield from map(work, items)
        return
    # Forked: a fresh interpreter would take as long to start as a small night.
    with ProcessPoolExecutor(count, get_context("fork"), live_and_die_with, (os.getpid(),)) as pool:
        try:
            yield from pool.map(work, items, chunksize=len(items) // SHARES + 1)
        except BrokenProcessPool:
            raise StageError(
                Status.KILLED,
                "one of its worker processes was killed.",
                "was the machine short of memory? The kernel's log says so; the next run goes on from here.",
            ) from None


def live_and_die_with(parent: int) -> None:
    """Have this process killed when its parent ends: an orphan would hold the run lock, and work beside the next run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked for
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all of them; the parent is the one to speak of it

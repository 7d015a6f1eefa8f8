"""Workers: processes that share the work of a script that would keep one processor busy, or wait, and leave the others idle."""

import ctypes
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1  # from linux/prctl.h
SHARES = 100  # that the items are handed out in: few enough for small items, many enough for all to end at the same time

forked = get_context("fork")  # a fresh interpreter would take as long to start as a small night
ended = forked.RawValue("b", 0)  # 1: begin no more items
works: list[Callable[[Any], Any]] = []  # one in a worker: its copy of the work, which came with the fork, none elsewhere

log = logging.getLogger("etl.processes")


def share_out(work: Callable[[Item], Result], items: Sequence[Item], processes: int | None = None) -> Iterator[Result]:
    """Yield what ``work`` makes of every item, in order, in so many processes; None: in one for each processor that we may use.

    A process does one item at a time, with a copy of ``work`` of its own. An exception ends the work and is raised:
    items that are begun are finished, the others are left. This process and its workers live and die together: what
    kills one of them kills all.
    """
    count = min(len(items), processes or len(os.sched_getaffinity(0)))
    if count < 2:
        yield from map(work, items)
        return
    ended.value = 0
    with ProcessPoolExecutor(count, forked, begin, (work, os.getpid())) as pool:
        try:
            if shares := submit_shares(pool, items):
                for share in shares:
                    yield from share.result()
            else:
                yield from map(work, items)
        except BrokenProcessPool:
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            ended.value = 1


def submit_shares(pool: ProcessPoolExecutor, items: Sequence[Any]) -> list[Future[list[Any]]]:
    """Have the pool's workers begin; return what will hold the results, nothing if the system gives no more processes."""
    size = len(items) // SHARES + 1
    try:
        with ctrl_c_held_back():
            # Not pool.map, which cancels what is left when one fails: a worker that is killed then hangs the pool.
            return [pool.submit(work_through, items[start : start + size]) for start in range(0, len(items), size)]
    except OSError as error:
        for worker in active_children():
            worker.kill()  # or those that it gave would wait for ever
        log.warning("working in one process: %s. Hint: allow more of them.", error.strerror)
        return []


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Have Ctrl-C wait, here and in the processes forked meanwhile, until these are ready for it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def begin(work: Callable[[Any], Any], parent: int) -> None:
    """Make this process a worker, which dies with its parent."""
    live_and_die_with(parent)
    works.append(work)


def work_through(items: Sequence[Any]) -> list[Any]:
    """Return what this worker's work makes of the items, as far as it is still wanted."""
    (work,) = works
    return [work(item) for item in items if not ended.value]


def live_and_die_with(parent: int) -> None:
    """Have this process killed when its parent ends: an orphan would hold the run lock, and work beside the next run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked for
        os.kill(os.getpid(), signal.SIGKILL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all of them; the parent is the one to speak of it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

"""Processes that share the work of a script, because one process alone keeps only one processor busy."""

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
SHARES = 100  # parts of the items: few, so that small items cost little; many, so that all processes end at about the same time

fork_context = get_context("fork")  # a fresh interpreter takes as long to start as a small night
stop = fork_context.RawValue("b", 0)  # 1: begin no more items
own_work: list[Callable[[Any], Any]] = []  # in a forked process: its copy of ``work``; elsewhere empty

log = logging.getLogger("etl.processes")


def share_out(work: Callable[[Item], Result], items: Sequence[Item], processes: int | None = None) -> Iterator[Result]:
    """Yield the result of ``work`` for every item, in the order of the items.

    ``processes`` is how many processes to use; None means one for each processor that this process may use. Each process
    has its own copy of ``work`` and does one item at a time. For a single item or a single process, nothing is forked.

    The first exception is raised here: items already begun are finished, no others are begun. If one process is killed,
    all of them are killed, this process included.
    """
    count = min(len(items), processes or len(os.sched_getaffinity(0)))
    if count < 2:
        yield from map(work, items)
        return
    stop.value = 0
    with ProcessPoolExecutor(count, fork_context, prepare_process, (work, os.getpid())) as pool:
        try:
            if shares := submit_shares(pool, items):
                for share in shares:
                    yield from share.result()
            else:
                yield from map(work, items)
        except BrokenProcessPool:
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            stop.value = 1


def submit_shares(pool: ProcessPoolExecutor, items: Sequence[Any]) -> list[Future[list[Any]]]:
    """Start the processes and return a future for each share, or nothing if the system allows no more processes."""
    size = len(items) // SHARES + 1
    try:
        with hold_back_ctrl_c():
            # Not pool.map: it cancels the other shares when one fails, and a process killed after that hangs the pool.
            return [pool.submit(work_through, items[start : start + size]) for start in range(0, len(items), size)]
    except OSError as error:
        for process in active_children():
            process.kill()  # the processes that did start would wait for ever
        log.warning("working in one process: %s. Hint: allow this user more processes.", error.strerror)
        return []


@contextmanager
def hold_back_ctrl_c() -> Iterator[None]:
    """Hold back Ctrl-C during the block, here and in the processes that it forks, until each of these is prepared."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def prepare_process(work: Callable[[Any], Any], parent: int) -> None:
    """Prepare a forked process: it keeps its copy of ``work``, and dies with its parent."""
    die_with(parent)
    own_work.append(work)


def work_through(items: Sequence[Any]) -> list[Any]:
    """Return this process's results for the items; begin no item after ``stop``."""
    (work,) = own_work
    return [work(item) for item in items if not stop.value]


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends: an orphan would hold the run lock and work beside the next run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the line above
        os.kill(os.getpid(), signal.SIGKILL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches every process; only the parent reports it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

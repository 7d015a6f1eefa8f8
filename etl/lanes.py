"""Lanes: several connections that work through one list side by side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(lanes: Sequence[Lane], work: Callable[[Lane, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what ``work`` makes of every item, in order; a lane has one item at a time.

    An exception ends the work and is raised: items that are begun are finished, the others are left.
    """
    free = SimpleQueue[Lane]()
    failed = Event()
    for lane in lanes:
        free.put(lane)

    def work_in_lane(item: Item) -> Result:
        lane = free.get()
        try:
            if failed.is_set():
                raise CancelledError
            return work(lane, item)
        except BaseException:
            failed.set()
            raise
        finally:
            free.put(lane)

    with ThreadPoolExecutor(len(lanes)) as pool:
        jobs = [pool.submit(work_in_lane, item) for item in items]
        try:
            for job in jobs:
                with suppress(CancelledError):  # the one that failed comes later
                    yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)

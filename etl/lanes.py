"""Lanes: several connections that work through one list side by side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(lanes: Sequence[Lane], work: Callable[[Lane, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what ``work`` makes of every item, in order; a lane has one item at a time.

    The first exception, in order, is raised and ends the work: items that are begun are finished,
    the others are left.
    """
    free = SimpleQueue[Lane]()
    for lane in lanes:
        free.put(lane)

    def work_in_lane(item: Item) -> Result:
        lane = free.get()
        try:
            return work(lane, item)
        finally:
            free.put(lane)

    with ThreadPoolExecutor(len(lanes)) as pool:
        jobs = [pool.submit(work_in_lane, item) for item in items]
        try:
            for job in jobs:
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)

"""Lanes: several connections that work through one list side by side."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import TypeVar

Lane = TypeVar("Lane")
Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(lanes: Sequence[Lane], work: Callable[[Lane, Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what ``work`` makes of the items, begun in their order; a lane has one item at a time.

    An exception ends the work and is raised: items that are begun are finished, the others are left.
    """
    coming = iter(list(items))  # every lane takes the next: a list's iterator gives an item to one thread only
    ended = Event()

    def work_in_lane(lane: Lane) -> list[Result]:
        results = []
        try:
            for item in coming:
                if ended.is_set():
                    break
                results.append(work(lane, item))
        except BaseException:
            ended.set()
            raise
        return results

    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            return list(chain.from_iterable(pool.map(work_in_lane, lanes)))
        finally:
            ended.set()

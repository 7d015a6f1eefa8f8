"""Threads that work through one list side by side, each with a connection of its connection."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import TypeVar

Connection = TypeVar("Connection")
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    connections: Sequence[Connection], work: Callable[[Connection, Item], Result], items: Iterable[Item]
) -> list[Result]:
    """Return what ``work`` makes of the items, begun in their order; a thread has one item at a time.

    An exception ends the work and is raised: items that are begun are finished, the others are left.
    """
    coming = iter(list(items))  # every thread takes the next: a list's iterator gives an item to one thread only
    ended = Event()

    def work_in_thread(connection: Connection) -> list[Result]:
        results = []
        try:
            for item in coming:
                if ended.is_set():
                    break
                results.append(work(connection, item))
        except BaseException:
            ended.set()
            raise
        return results

    with ThreadPoolExecutor(len(connections)) as pool:
        try:
            return list(chain.from_iterable(pool.map(work_in_thread, connections)))
        finally:
            ended.set()

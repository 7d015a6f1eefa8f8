"""Threads that work through one list of items, each with a connection of its own."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import TypeVar

Connection = TypeVar("Connection")
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    connections: Sequence[Connection],
    work: Callable[[Connection, Item], Result],
    items: Iterable[Item],
    is_ready: Callable[[Connection], bool],
) -> list[Result]:
    """Return the results of ``work`` for all items, in any order.

    There is one thread for each connection. The first connection is used in any case, each of the others if it is ready.
    Items are begun in their order, and a thread does one item at a time. The first exception is raised: items already
    begun are finished, no others are begun.
    """
    remaining = iter(list(items))  # shared: the iterator of a list gives each item to one thread only
    stop = Event()

    def work_in_thread(connection: Connection) -> list[Result]:
        results: list[Result] = []
        try:
            if connection is not connections[0] and not is_ready(connection):
                return results
            for item in remaining:
                if stop.is_set():
                    break
                results.append(work(connection, item))
        except BaseException:
            stop.set()
            raise
        return results

    with ThreadPoolExecutor(len(connections)) as pool:
        try:
            return list(chain.from_iterable(pool.map(work_in_thread, connections)))
        finally:
            stop.set()

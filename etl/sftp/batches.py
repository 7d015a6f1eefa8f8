"""Groups: many files of the SFTP server, a group of them at a time, over several connections."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from base.processes import share_out
from base.trouble import StageError
from base.waiting import retrying
from sftp.server import TOGETHER, Remote

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Remote, Sequence[Item]], list[Result]]

CONNECTIONS = 4  # at the most, each with a process of its own: a small file is little work and many waits, for disk and server

log = logging.getLogger("etl.groups")


def in_groups(remote: Remote, work: Work[Item, Result], items: Sequence[Item], patience: float) -> Iterator[Result]:
    """Yield what ``work`` makes of every item, in order; wait out an outage for ``patience`` seconds.

    ``work`` is given a connection and some items, and returns the results of the first of these, of one at least, or
    raises StageError. More than TOGETHER items are shared out among CONNECTIONS, which have no patience: what one of
    them leaves is done over one connection once all have ended. So a server may allow no more than one.
    """
    several = len(items) > TOGETHER
    size = TOGETHER // CONNECTIONS if several else TOGETHER  # so TOGETHER in all
    groups = [items[start : start + size] for start in range(0, len(items), size)]
    begun: list[list[Result]] = [[] for _ in groups]
    if several:
        remote.close()  # each process makes a connection of its own
        begun = list(share_out(Attempt(remote, work), groups, CONNECTIONS))
    for group, first in zip(groups, begun, strict=True):
        results = [*first]
        while len(results) < len(group):
            results += retrying(patience)(connected, remote, work, group[len(results) :])
        yield from results


def connected(remote: Remote, work: Work[Item, Result], group: Sequence[Item]) -> list[Result]:
    """Return what ``work`` makes of a group over a connection that is there; one that cannot be made is no file's fault."""
    remote.connect()
    return work(remote, group)


class Attempt(Generic[Item, Result]):
    """Work that ends with the first trouble of its process."""

    def __init__(self, remote: Remote, work: Work[Item, Result]) -> None:
        self._remote = remote
        self._work = work
        self._failed = False

    def __call__(self, group: Sequence[Item]) -> list[Result]:
        """Return the results of a group's first items: of all, unless there is trouble, or has been."""
        results: list[Result] = []
        while len(results) < len(group) and not self._failed:
            try:
                results += connected(self._remote, self._work, group[len(results) :])
            except StageError as error:
                self._failed = True
                log.info("a connection less, after %r", str(error))
        return results

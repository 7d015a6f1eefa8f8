"""Groups: many files of the SFTP server, a group of them at a time, over several connections."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from outage import retrying
from remote import TOGETHER, Remote
from trouble import StageError
from workers import shared_out

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Remote, Sequence[Item]], list[Result]]

CONNECTIONS = 4  # at the most, each with a process of its own: a small file is little work and many waits, for disk and server

log = logging.getLogger("etl.groups")


def in_groups(remote: Remote, work: Work[Item, Result], items: Sequence[Item], patience: float) -> Iterator[Result]:
    """Yield what ``work`` makes of every item, in order; wait out an outage for ``patience`` seconds.

    ``work`` is given a group and returns the results of its first items, of one at least, or raises Outage. It may be
    given an item again whose result was lost.
    """
    groups = [items[start : start + TOGETHER] for start in range(0, len(items), TOGETHER)]
    done = 0
    if len(groups) > 1:
        remote.close()  # each process makes a connection of its own
        try:
            for results in shared_out(partial(all_of, remote, work), groups, CONNECTIONS):
                yield from results
                done += len(results)
        except StageError as error:  # the server may be gone, or allow no more than one connection: what lasts comes again
            log.info("going on with one connection, after %r", str(error))
    while done < len(items):
        results = retrying(patience)(work, remote, items[done : done + TOGETHER])
        yield from results
        done += len(results)


def all_of(remote: Remote, work: Work[Item, Result], group: Sequence[Item]) -> list[Result]:
    """Return what ``work`` makes of a whole group, or raise what stops it."""
    results: list[Result] = []
    while len(results) < len(group):
        results += work(remote, group[len(results) :])
    return results

"""A line with a delay each way: a relay on the loopback, in front of a server."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread

BLOCK = 1 << 16  # bytes that are taken at once


@contextmanager
def slow_line(port: int, delay: float) -> Iterator[int]:
    """Give a port that leads to another one; every byte is so many seconds on its way, in each direction."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        Thread(target=accept, args=(door, port, delay), daemon=True).start()
        yield int(door.getsockname()[1])
        door.shutdown(socket.SHUT_RDWR)  # ends the wait for the next connection


def accept(door: socket.socket, port: int, delay: float) -> None:
    """Join every client to the server behind the line."""
    with suppress(OSError):  # the door is closed
        while True:
            near, _ = door.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for source, target in ((near, far), (far, near)):
                carry(source, target, delay)


def carry(source: socket.socket, target: socket.socket, delay: float) -> None:
    """Hand on what comes, in order, each block once it has been on its way for long enough; then the end."""
    under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def depart() -> None:
        with suppress(OSError):
            while block := source.recv(BLOCK):
                under_way.put((time.monotonic() + delay, block))
        under_way.put((time.monotonic() + delay, b""))

    def arrive() -> None:
        with suppress(OSError):
            while True:
                due, block = under_way.get()
                time.sleep(max(0, due - time.monotonic()))
                if not block:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(block)

    for side in (depart, arrive):
        Thread(target=side, daemon=True).start()

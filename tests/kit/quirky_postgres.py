"""Servers that speak just enough of Postgres's protocol to behave as no real server here can be brought to."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

ENCRYPTION = [code.to_bytes(4) for code in (80877103, 80877104)]  # what asks for TLS, and for GSSAPI
STATED = {"client_encoding": "UTF8", "DateStyle": "ISO", "standard_conforming_strings": "on"}


def message(kind: bytes, content: bytes) -> bytes:
    """Return a message of the protocol."""
    return kind + (len(content) + 4).to_bytes(4) + content


def refusal(severity: str, code: str, words: str) -> bytes:
    """Return an ErrorResponse; ``severity`` and ``words`` in the server's language."""
    fields = {b"S": severity, b"V": "FATAL", b"C": code, b"M": words}
    return message(b"E", b"".join(field + text.encode() + b"\0" for field, text in fields.items()) + b"\0")


def welcome(**stated: str) -> bytes:
    """Return what lets a client in, and what the server states of itself."""
    told = b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in (STATED | stated).items())
    return message(b"R", bytes(4)) + told + message(b"Z", b"I")


@contextmanager
def answering(answer: bytes, *, stays: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """Give the address of a server that answers every client in the same way, and a list that grows with each client.

    Then the server closes the connection, or it stays and says nothing more.
    """
    clients: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        if started := peer.recv(1024):
            clients.append(started)
            peer.sendall(answer)
        while stays and peer.recv(1024):
            pass

    with serving(talk) as port:
        yield f"postgresql://127.0.0.1:{port}/x?sslmode=disable&gssencmode=disable", clients


@contextmanager
def in_the_middle() -> Iterator[tuple[int, list[bytes]]]:
    """Give the port of a server that says that it has no TLS and asks for the password in clear, and all that it hears."""
    heard: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        while said := peer.recv(1024):
            heard.append(said)
            if said[4:8] in ENCRYPTION:
                peer.sendall(b"N")
            elif said[:1] == b"p":
                peer.sendall(refusal("FATAL", "28P01", "thank you"))
            else:
                peer.sendall(message(b"R", (3).to_bytes(4)))

    with serving(talk) as port:
        yield port, heard


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Give the port of a server that talks with each client in a thread."""
    talks: list[Thread] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            talks.append(Thread(target=hang_up_after, args=(talk, peer), daemon=True))
            talks[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(30)
    for each in talks:
        each.join(30)
    assert not any(each.is_alive() for each in (thread, *talks))  # they have seen each connection close


def hang_up_after(talk: Callable[[socket.socket], None], peer: socket.socket) -> None:
    with peer:
        talk(peer)

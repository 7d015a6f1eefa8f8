"""A server that speaks just enough of Postgres's protocol to refuse in a way that no real server here can be brought to."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

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

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                if started := peer.recv(1024):
                    clients.append(started)
                    peer.sendall(answer)
                while stays and peer.recv(1024):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield f"postgresql://127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable&gssencmode=disable", clients
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(30)
    assert not thread.is_alive()  # it has seen each connection close

"""Real servers on the loopback that keep every message: one for mail, one for web hooks."""

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from kit.servers import PATIENCE, free_port, need


class MailSink:
    """A mail server; ``answer`` is its answer to every message."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.logins: list[str] = []  # that were tried
        self.secured: list[bool] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep the message if the answer is 250, and answer."""
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
            assert isinstance(message, EmailMessage)
            self.received.append(message)
            self.secured.append(session.ssl is not None)
        return self.answer


def certificate(folder: Path) -> Path:
    """Return a file with a key and a self-signed certificate for localhost."""
    openssl = need("openssl")
    path = folder / "localhost.pem"
    if not path.exists():
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", folder / "cert.pem"]
        subprocess.run(command, check=True, capture_output=True)
        path.write_text(path.read_text() + (folder / "cert.pem").read_text())
    return path


@contextmanager
def mail_sink(tls: Path | None = None, login: tuple[str, str] | None = None) -> Iterator[tuple[MailSink, dict[str, str]]]:
    """Run a mail server; yield it and its settings.

    With ``tls``, a certificate, it demands STARTTLS. With ``login`` it offers a login, and demands it over TLS.
    """
    sink = MailSink()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
    if tls and context:
        context.load_cert_chain(tls)

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        sink.logins.append(data.login.decode())
        return AuthResult(success=(data.login.decode(), data.password.decode()) == login, handled=False)

    controller = Controller(
        sink,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=bool(tls),
        auth_required=bool(login and tls),
        authenticator=authenticate,
        auth_require_tls=bool(tls),
    )
    controller.start()
    settings = {
        "SMTP_HOST": "localhost",
        "SMTP_PORT": str(controller.port),
        "SMTP_STARTTLS": "true" if tls else "false",
        "MAIL_FROM": "etl@example.org",
        "MAIL_TO": "ops@example.org",
    }
    settings |= {"SMTP_CA_FILE": str(tls)} if tls else {}
    settings |= {"SMTP_USER": login[0], "SMTP_PASSWORD": login[1]} if login else {}
    try:
        yield sink, settings
    finally:
        controller.stop()


class Request(NamedTuple):
    """A request that a web hook got."""

    path: str
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WebSink:
    """A web server, with TLS if there is a certificate.

    ``answers`` holds the next statuses, after which comes 200; status 0 means no answer. A redirect goes to ``location``.
    """

    def __init__(self, tls: Path | None = None) -> None:
        self.received: list[Request] = []
        self.answers: list[int] = []
        self.retry_after = "0"
        self.location = ""
        self.done = Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
                sink.received.append(Request(self.path, body))
                status = sink.answers.pop(0) if sink.answers else 200
                if not status:
                    sink.done.wait(60)
                    return
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", sink.retry_after)
                if status == 302:
                    self.send_header("Location", sink.location)
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST  # noqa: N815 - what a redirect makes of it

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        if tls:
            (context := ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)).load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.server.server_port}"

    def paths(self) -> list[str]:
        """Return the paths of all requests, without their queries."""
        return [request.path.partition("?")[0] for request in self.received]

    def wait_for(self, count: int) -> None:
        """Wait until ``count`` requests have come."""
        deadline = time.monotonic() + PATIENCE
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.received) >= count


@contextmanager
def web_sink(tls: Path | None = None) -> Iterator[WebSink]:
    """Run a web server and yield it; with ``tls``, a certificate, it speaks https."""
    sink = WebSink(tls)
    thread = Thread(target=sink.server.serve_forever)
    thread.start()
    try:
        yield sink
    finally:
        sink.done.set()
        sink.server.shutdown()
        sink.server.server_close()
        thread.join()


@contextmanager
def one_answer(answer: bytes) -> Iterator[int]:
    """Run a server that gives the same answer to every connection, whatever it is asked; yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):  # or closing would reset the connection, and the answer be lost
                        pass

    thread = Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()

"""What protects a connection that was made, in a few words: its TLS, or that it does not leave this host."""

import os
import smtplib
import socket
import ssl
from http.client import HTTPConnection

from psycopg2.extensions import connection

from base.exposure import VERIFIED, goes_in_clear, is_here
from base.settings import Settings

HERE, ALLOWED = ", this host", ": ALLOW_INSECURE"  # why it is let through
SYSTEM = "the system's certificates"


def of_postgres(link: connection) -> str:
    """Return what protects a connection to Postgres."""
    with socket.socket(fileno=os.dup(link.fileno())) as peer:
        if peer.family == socket.AF_UNIX:
            return "by a Unix socket"
        why = HERE if is_here(peer.getpeername()[0]) else ALLOWED
    if not link.info.ssl_in_use:
        return f"in clear{why}"
    options = link.info.dsn_parameters
    root = options.get("sslrootcert", "~/.postgresql/root.crt")
    unverified = "host name not verified" if options["sslmode"] == "verify-ca" else "not verified"
    verified = f"verified against {SYSTEM if root == 'system' else root}"
    return f"{link.info.ssl_attribute('protocol')}, {verified if options['sslmode'] == VERIFIED else unverified + why}"


def of_mail(server: smtplib.SMTP, settings: Settings) -> str:
    """Return what protects a connection to the mail server."""
    if isinstance(server.sock, ssl.SSLSocket):
        return f"{server.sock.version()}, verified against {settings.smtp_ca_file or SYSTEM}"
    if is_here(settings.smtp_host or ""):
        return f"in clear{HERE}"
    return f"in clear{ALLOWED}" if settings.smtp_user else "in clear, without a login"


def of_web(link: HTTPConnection, url: str) -> str:
    """Return what protects a connection to a web address, which may go by way of a proxy."""
    if isinstance(link.sock, ssl.SSLSocket):
        return str(link.sock.version())
    return f"in clear{ALLOWED if goes_in_clear(url) else HERE}"

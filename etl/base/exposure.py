"""What would leave this host in clear, for others to read: without ALLOW_INSECURE such settings are refused."""

from ipaddress import ip_address
from itertools import zip_longest
from urllib.parse import urlsplit

from base import libpq

VERIFIED = "verify-full"  # the only sslmode that verifies the certificate and its host name


def is_here(host: str) -> bool:
    """Return whether a host is this host for certain: localhost, or an address of the loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refuse_postgres(address: str) -> None:
    """Raise ValueError if libpq would ask another host without verifying its certificate.

    A Unix socket and the loopback need no certificate. Of several hosts, each must be good.
    """
    options = libpq.resolve(address)
    names, numbers = (options.get(option, "").split(",") for option in ("host", "hostaddr"))
    for name, number in zip_longest(names, numbers, fillvalue=""):
        is_socket = not number and name[:1] in ("", "/", "@")  # hostaddr decides where it is given
        if options["sslmode"] != VERIFIED and not is_socket and not is_here(number or name):
            raise ValueError(
                f"sslmode={options['sslmode']} lets others read what goes to {name or number}; add sslmode={VERIFIED} "
                f"(beside PGHOST: PGSSLMODE={VERIFIED}), and sslrootcert=system or the file of your authority's certificate"
            )


def goes_in_clear(url: str) -> bool:
    """Return whether what is sent to a web address leaves this host in clear; an http proxy counts as another host."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return False
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - slow to import: https does without

    host = parts.hostname or ""
    return not is_here(host) or ("http" in getproxies() and not proxy_bypass(host))


def refuse_login(host: str) -> None:
    """Raise ValueError if a login without TLS goes to another host."""
    if not is_here(host):
        raise ValueError(f"without it others read SMTP_PASSWORD on its way to {host}; set it to true, or SMTP_PORT to 465")


def refuse_web(url: str) -> None:
    """Raise ValueError if what is sent to a web address goes in clear."""
    if goes_in_clear(url):
        raise ValueError("the address itself is a secret, and http lets others read it; write https")


def verify_web(url: str) -> None:
    """Raise ValueError unless an address is a web address."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("not an http address")

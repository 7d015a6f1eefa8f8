"""libpq behind psycopg2: what it makes of an address before it connects, and the functions that psycopg2 leaves out."""

import ctypes
from itertools import takewhile

import psycopg2
import psycopg2._psycopg
from psycopg2.extensions import make_dsn, parse_dsn

from base.masking import clean

REFUSED_AT_ONCE = {"target_session_attrs": "none", "password": "none"}  # no such session; with a password, none is looked up


class Option(ctypes.Structure):
    """PQconninfoOption, as libpq-fe.h has it."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")),
        ("dispsize", ctypes.c_int),
    )


def functions() -> ctypes.CDLL:
    """Return libpq's functions."""
    return ctypes.CDLL(psycopg2._psycopg.__file__)


def verify_form(address: str) -> None:
    """Raise ValueError unless an address is a URI or a DSN of libpq; its words hold no part of a password."""
    try:
        parts = parse_dsn(address)
        # An unescaped @ or / in a password moves part of the password to these, and from there into messages.
        ports = parts.get("port", "").split(",")
        names = parts.get("host", "") + parts.get("dbname", "")
        valid = "@" not in names and all(port.isdecimal() for port in ports if port)
    except psycopg2.ProgrammingError:  # its message repeats the password
        valid = False
    if not valid:
        raise ValueError("not a PostgreSQL URI or DSN, e.g. postgresql://user@host/db; escape @ and / in a password")


def resolve(address: str) -> dict[str, str]:
    """Return the options that libpq would connect with; raise ValueError if it finds no service of that name.

    They come from the address, then the service file, then PG*, then libpq's defaults. libpq itself is asked, because only
    libpq knows the order, the files and the defaults of its version. No connection is made: libpq looks all of this up, and
    then refuses what is asked for.
    """
    libpq = functions()
    libpq.PQconnectStart.restype = ctypes.c_void_p
    libpq.PQconninfo.restype = ctypes.POINTER(Option)
    libpq.PQerrorMessage.restype = ctypes.c_char_p
    link = ctypes.c_void_p(libpq.PQconnectStart(make_dsn(address, **REFUSED_AT_ONCE).encode()))
    options = libpq.PQconninfo(link)
    try:
        named = takewhile(lambda option: option.keyword, options)
        found = {option.keyword.decode(): option.val.decode(errors="replace") for option in named if option.val is not None}
        if "sslmode" not in found:  # it has a default: libpq has not come that far
            raise ValueError(clean(libpq.PQerrorMessage(link).decode(errors="replace").strip()))
        return found
    finally:
        libpq.PQconninfoFree(options)
        libpq.PQfinish(link)

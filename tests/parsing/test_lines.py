"""The lines of a report: where a line ends, and where a long line is cut."""

import io

import pytest

from parsing.lines import LINE_LIMIT, read_lines

LONG = b"x" * LINE_LIMIT


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\nb\nc\r", [b"a", b"b", b"c"]),
        (b"\n\r\n \n", [b"", b"", b" "]),
        (b"a\rb\n", [b"a\rb"]),  # only LF ends a line
        ("a\u2028b\x0bc\n".encode(), ["a\u2028b\x0bc".encode()]),
        (b"a\r\r\n", [b"a\r"]),
        (LONG + b"\nb\n", [LONG, b"b"]),
        (LONG + b"\r\nb\n", [LONG, b"b"]),
        (LONG, [LONG]),
        (LONG + b"y\nb\n", [LONG + b"y", b"b"]),
        (LONG + b"y\r\nb\n", [LONG + b"y", b"b"]),
        (LONG + b"y", [LONG + b"y"]),
        (LONG * 3 + b"\r\nb", [LONG + b"x", b"b"]),
        (LONG * 3, [LONG + b"x"]),
    ],
    ids=lambda value: ascii(value)[:30],  # pytest puts the id into the environment, which holds no megabyte
)
def test_lines(content: bytes, lines: list[bytes]) -> None:
    assert list(read_lines(io.BytesIO(content))) == lines

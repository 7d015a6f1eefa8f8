"""The settings file: what its lines set, and which of its lines say nothing that can be read."""

import os
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import Binding, parse_stream

from base import trust
from base.trouble import StageError

NEWLINE = re.compile(r"\r\n|\n|\r")


class EnvFile(NamedTuple):
    """What a settings file says."""

    values: dict[str, str]
    problems: list[str]  # a sentence for each line that cannot be read; values stay unsaid, they may be secret


def path_of_env_file(root: Path) -> Path:
    """Return the path of the settings file: ``.env`` in the folder, or the file that ENV_FILE names."""
    return root / Path(os.environ.get("ENV_FILE") or ".env").expanduser()


def read_env_file(root: Path) -> EnvFile:
    """Return what the settings file says.

    There may be no ``.env``, but a file that ENV_FILE names must be there. Values are taken as they are written: ``$HOME`` is no
    name of another value. Nothing is taken from a file that another user could have changed.
    """
    path = path_of_env_file(root)
    try:
        text = trust.read("settings file", path).decode()
    except StageError as error:
        _, fact, hint = error.args
        return EnvFile({}, [f"{fact.removesuffix('.')} ({hint.removesuffix('.')})"])
    except FileNotFoundError:
        return EnvFile({}, [f"ENV_FILE names {path}, which is not there"] if os.environ.get("ENV_FILE") else [])
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        values, problems = read_bindings(path, parse_stream(StringIO(error.object.decode(errors="replace"))))
        return EnvFile(values, [f"line {line} of {path} is not UTF-8", *problems])
    except OSError as error:
        return EnvFile({}, [f"{path} cannot be read: {error.strerror}"])
    return read_bindings(path, parse_stream(StringIO(text)))


def put_in_environment(values: dict[str, str]) -> None:
    """Give the environment what the settings file sets and the environment lacks: libpq and proxies look there."""
    for name, value in values.items():
        if value:
            os.environ.setdefault(name, value)


def read_bindings(path: Path, bindings: Iterable[Binding]) -> EnvFile:
    """Return what the lines of the settings file set, and every line that sets nothing or sets a name again."""
    values: dict[str, str] = {}
    problems = []
    lines: dict[str, int] = {}
    for binding in bindings:
        line = line_of(binding)
        for problem in problems_of(binding):
            problems.append(f"line {line} of {path} {problem}")
        if binding.key is None or binding.error:
            continue
        if binding.key in lines:
            problems.append(f"line {line} of {path} sets {binding.key}, which line {lines[binding.key]} sets already")
        elif binding.value is not None and "\0" not in binding.key + binding.value:
            lines[binding.key] = line
            values[binding.key] = binding.value
    return EnvFile(values, problems)


def problems_of(binding: Binding) -> Iterator[str]:
    """Yield why a line cannot be read."""
    if binding.error:
        yield "cannot be read: write NAME=value, and close every quote"
    elif binding.key is not None and binding.value is None:
        yield "has no =: write NAME=value"
    elif "\0" in binding.original.string:
        yield "holds a NUL character"
    elif NEWLINE.search(binding.value or ""):
        yield "begins a value of several lines: close its quote, and put a value with a backslash in single quotes"


def line_of(binding: Binding) -> int:
    """Return the number of the line on which a name stands; python-dotenv counts from the blank lines before it."""
    text = binding.original.string
    return binding.original.line + len(NEWLINE.findall(text[: len(text) - len(text.lstrip())]))

"""A list of things to look at, as one table: what was found, and a hint per problem."""

from collections.abc import Callable, Mapping

from rich.text import Text

from base.counting import count_of
from base.settings import is_tryout
from base.trouble import StageError, Status
from commands.console import add_row, console, show, table

Look = Callable[[], str]  # gives what is good in a few words, or raises StageError


def inspect(looks: Mapping[str, Look], closing: str = "") -> int:
    """Look at everything, print the table and return the first problem's status, or DONE; one cause is told once."""
    made = table("", "what", "", "found", "hint")
    problems: list[int] = []
    told: dict[str, str] = {}  # by a problem's words, the row that has them
    for name, look in looks.items():
        try:
            add_row(made, name, Text("ok", "green"), look())
        except StageError as error:
            fact, _, hint = str(error).partition(" Hint: ")
            if fact in told:
                add_row(made, name, Text("?", "bold"), f"unknown: see {told[fact]}")
                continue
            told[fact] = name
            add_row(made, name, Text("FAULT", "bold red"), fact, hint)
            problems.append(error.status)
        except Exception as error:  # noqa: BLE001 - a table with a gap tells more than none
            add_row(made, name, Text("FAULT", "bold red"), words_of(error), "fix what it names, then look again.")
            problems.append(Status.DISK if isinstance(error, OSError) else Status.BUG)
    screen = console()
    show(screen, made)
    tryout = "This is a try-out, made by make testing." if is_tryout() else ""
    screen.print(" ".join([tryout, closing, f"{count_of(len(problems), 'problem')}." if problems else "No problems."]).strip())
    return problems[0] if problems else Status.DONE


def in_tryout(looks: Mapping[str, Look], absent: set[str]) -> Mapping[str, Look]:
    """Return what there is to look at: what make testing left has no server and no cron line."""
    if not is_tryout():
        return looks
    return {name: (lambda: "not looked at: make testing leaves none") if name in absent else look for name, look in looks.items()}


def words_of(error: Exception) -> str:
    """Return what an unexpected error says, without values that may be secret."""
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror}"
    return type(error).__name__

"""A list of things to look at, as one table: what was found, and a hint per problem."""

from collections.abc import Callable

from rich.text import Text

from base.trouble import StageError, Status
from commands.console import add_row, console, show, table

Look = Callable[[], str]  # gives what is good in a few words, or raises StageError


def inspect(looks: dict[str, Look]) -> int:
    """Look at everything, print the table and return the first problem's status, or DONE."""
    made = table("", "what", "", "found", "hint")
    problems: list[int] = []
    for name, look in looks.items():
        try:
            add_row(made, name, Text("ok", "green"), look())
        except StageError as error:
            fact, _, hint = str(error).partition(" Hint: ")
            add_row(made, name, Text("FAULT", "bold red"), fact, hint)
            problems.append(error.status)
        except Exception as error:  # noqa: BLE001 - a table with a gap tells more than none
            add_row(made, name, Text("FAULT", "bold red"), words_of(error), "mend what it names, then look again.")
            problems.append(Status.DISK if isinstance(error, OSError) else Status.BUG)
    screen = console()
    show(screen, made)
    screen.print(f"{len(problems) or 'No'} problem{'' if len(problems) == 1 else 's'}.")
    return problems[0] if problems else Status.DONE


def words_of(error: Exception) -> str:
    """Return what an unexpected error says, without values that may be secret."""
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror}"
    return type(error).__name__

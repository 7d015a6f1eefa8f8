"""Passing over the lines of people who were forgotten, when the same bytes are loaded again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from base.files import make_new
from base.workdir import Report
from postgres.insertion import Staged

KINDS = ("statistics.csv", "errors.csv")


class Rest(Report):
    """A report without some of its lines: copies of its staged files, without these lines, stand for them."""

    def staged(self, kind: str) -> Path:
        """Return the path of a staged file, or of the copy."""
        return super().staged(f"rest.{kind}" if kind in KINDS else kind)


def pass_over(staged: Staged, line_numbers: list[int]) -> Staged:
    """Return the report without these lines. Line 1 stands for the whole report, and stays.

    What is staged stays as it is: a load that fails is done anew.
    """
    report, verdict, file_id = staged
    rest = Rest(report.path)
    erased = set(line_numbers) - {1}
    loaded, rejected = (copy(report.staged(kind), rest.staged(kind), number, erased) for kind, number in NUMBERS.items())
    verdict = replace(
        verdict,
        rows_read=verdict.rows_read - loaded - rejected,
        rows_accepted=verdict.rows_accepted - loaded,
        error_rows=verdict.error_rows - rejected,
    )
    return Staged(rest, verdict, file_id)


NUMBERS: dict[str, Callable[[bytes], int]] = {  # where the line number stands in a staged row
    KINDS[0]: lambda row: int(row.rpartition(b",")[2]),
    KINDS[1]: lambda row: int(row[1 : row.index(b'"', 1)]),
}


def copy(source: Path, target: Path, number: Callable[[bytes], int], erased: set[int]) -> int:
    """Copy a staged file without the erased lines; return how many these are. What is missing stays missing."""
    target.unlink(missing_ok=True)
    if not source.exists():
        return 0
    count = 0
    with source.open("rb") as rows, make_new(target) as rest:
        for row in rows:
            if number(row) in erased:
                count += 1
            else:
                rest.write(row)
    return count

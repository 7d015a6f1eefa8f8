"""Stage every pulled report: validate each line, and write the rows for statistics and for errors."""

import csv
import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from typing import IO, NamedTuple

from base.fate import Fate
from base.files import whole_file
from base.processes import share_out
from base.progress import progress, progress_reader
from base.run import Run
from base.settings import Settings
from base.workdir import Report, Verdict, WorkDir, boot_id
from parsing.columns import check_header
from parsing.faults import error_row, rejection_of
from parsing.lines import BLOCK, Readable, read_blocks
from parsing.split import split_lines
from runtime.script import run_script

SORTED_ROWS = 100_000  # about 20 MB

log = logging.getLogger("etl.transform")


class Tally(NamedTuple):
    """What became of a report's records."""

    fate: Fate  # ACCEPTED or REFUSED
    read: int
    accepted: int
    error_rows: int  # rejected records, and one row for a fault of the whole file


def main(settings: Settings, run: Run) -> None:
    """Stage every report that is not staged yet; faults are counted, not raised."""
    reports = [report for report in WorkDir(settings).reports() if report.verdict() is None]
    with progress("transform", sum(report.path.stat().st_size for report in reports)):
        for report, tally in zip(reports, share_out(stage_report, reports), strict=True):
            log.info("staged %s fate=%s read=%d accepted=%d error_rows=%d", report.name, *tally)


def stage_report(report: Report) -> Tally:
    """Write the report's staged files and, last, the verdict that vouches for them."""
    report.staged("errors.csv").unlink(missing_ok=True)  # of an earlier report with this name
    with ExitStack() as stack:
        file = HashingFile(stack.enter_context(report.path.open("rb")))
        statistics = stack.enter_context(whole_file(report.staged("statistics.csv")))
        rejects = Rejects(lambda: stack.enter_context(whole_file(report.staged("errors.csv"))))
        info = os.fstat(file.fileno())
        tally = split_report(progress_reader(file), statistics, rejects)
        while file.read(BLOCK):
            pass  # hash the rest of a refused file too
    report.write_verdict(
        Verdict(
            name=report.name,
            sha256=file.sha256.hexdigest(),
            bytes=info.st_size,
            mtime=int(info.st_mtime),
            pulled_at=info.st_ctime,
            fate=tally.fate,
            rows_read=tally.read,
            rows_accepted=tally.accepted,
            error_rows=tally.error_rows,
            said=report.said(),
            boot_id=boot_id(),
        )
    )
    return tally


def split_report(file: Readable, statistics: IO[bytes], rejects: "Rejects") -> Tally:
    """Write a row for every record of ``file``, to ``statistics`` or to ``rejects``, in the form that COPY reads.

    A file without the report's header is refused: its records are not read.
    """
    blocks = read_blocks(file)
    first = next(blocks, [b""])
    header = first.pop(0)
    if fault := check_header(header):
        rejects.add([error_row(1, rejection_of([fault]), header)])
        return Tally(Fate.REFUSED, 0, 0, 1)
    read = accepted = 0
    number = 2
    sheet = Sheet(statistics)
    for lines in chain([first], blocks):
        rows, error_rows = split_lines(lines, number)
        sheet.add(rows)
        rejects.add(error_rows)
        accepted += len(rows)
        read += len(rows) + len(error_rows)
        number += len(lines)
    sheet.flush()
    return Tally(Fate.ACCEPTED, read, accepted, read - accepted)


class HashingFile:
    """An open file that hashes what is read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.fileno = file.fileno
        self._read = file.read
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        block = self._read(size)
        self.sha256.update(block)
        return block


class Rejects:
    """The rows for errors, as COPY reads them. The first row makes the file: without rows there is no file."""

    def __init__(self, make: Callable[[], IO[bytes]]) -> None:
        self._make = make
        self.add = csv.writer(self, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows

    @cached_property
    def _file(self) -> IO[bytes]:
        return self._make()

    def write(self, row: str) -> None:
        """Write a row; csv.writer calls this."""
        self._file.write(row.encode())


class Sheet:
    """The rows for statistics, written in portions sorted by address: so the index of statistics fills faster."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rows: list[bytes] = []

    def add(self, rows: list[bytes]) -> None:
        """Take rows; write all rows taken once there are SORTED_ROWS."""
        self._rows += rows
        if len(self._rows) >= SORTED_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows taken since the last flush, sorted."""
        self._rows.sort()
        self._file.writelines(self._rows)
        self._rows = []


if __name__ == "__main__":
    run_script("transform", main)

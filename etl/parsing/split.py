"""Split the lines of a report into rows for statistics and rows for errors."""

from parsing import fast_path
from parsing.columns import Visit, is_record, parse_line
from parsing.fast_path import csv_row
from parsing.faults import ErrorRow, error_row, rejection_of


def split_lines(lines: list[bytes], number: int) -> tuple[list[bytes], list[ErrorRow]]:
    """Return the rows for statistics, as COPY reads them, and the rows for errors; ``number`` is the first line's number."""
    rows, rejects, doubtful = fast_path.split_lines(enumerate(lines, number))
    for line_number, line in doubtful:
        if not is_record(line):
            continue
        visit = parse_line(line)
        if isinstance(visit, Visit):
            rows.append(b"%b,%d\n" % (csv_row(visit), line_number))
        else:
            rejects.append(error_row(line_number, rejection_of(visit), line))
    return rows, rejects

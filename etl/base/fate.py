"""What becomes of a report."""

from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a report. All but ACCEPTED are stored in load_file.status: add values, never rename one."""

    ACCEPTED = "accepted"  # transform's verdict: the file is a report. Load decides its fate
    LOADED = "loaded"
    DUPLICATE = "duplicate"  # the same bytes are loaded already
    REFUSED = "refused"  # the file is no report: it has no valid header
    QUARANTINED = "quarantined"  # too many records are rejected: nothing of the report is loaded
    UNDONE = "undone"  # it was loaded, and a person or a corrected report has taken it back

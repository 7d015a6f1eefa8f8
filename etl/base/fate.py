"""What becomes of a report."""

from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a report. Stored in load_file.status, but for ACCEPTED: add values, never rename one."""

    ACCEPTED = "accepted"  # transform's word: a report. Load makes it one of the others
    LOADED = "loaded"
    DUPLICATE = "duplicate"  # its bytes are loaded already
    REFUSED = "refused"  # no report
    QUARANTINED = "quarantined"  # too many rejected lines: nothing of it is loaded

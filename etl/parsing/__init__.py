"""From the bytes of a report to visits and faults: it opens no file, and asks no clock and no network."""

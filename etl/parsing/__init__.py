"""Pure code from the bytes of a report to its visits or their faults: no file, no clock, no network."""

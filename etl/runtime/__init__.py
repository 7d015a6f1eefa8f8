"""The life of a script: command line, locks, log, exit status."""

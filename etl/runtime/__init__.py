"""The life of a script: its command line, run lock, log and exit status."""

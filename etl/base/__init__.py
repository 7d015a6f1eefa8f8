"""What every other package may use: settings, trouble, whole files, the work directory, waiting, threads and processes."""

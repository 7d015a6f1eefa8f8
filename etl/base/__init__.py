"""What every package may use: settings, statuses, files, waiting, limits, masking, threads, processes."""

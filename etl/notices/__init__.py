"""What people are told of a run, and how it reaches them: journal, digest, notices, channels, alerts and metrics."""

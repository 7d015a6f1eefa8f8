"""What people are told about a run: the journal, the digest, and the channels that carry it."""

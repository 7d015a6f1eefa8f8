"""The backup zips: how they are written and checked, and how archived reports are cleared away."""

"""The monthly report: its figures, its tables and its charts."""

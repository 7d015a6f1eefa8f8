"""The monthly report: its figures, its tables, its charts."""

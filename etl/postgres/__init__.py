"""The one door to the database: connections, statements, the load log, migrations and the rows of a report."""

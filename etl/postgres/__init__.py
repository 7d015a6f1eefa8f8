"""The one door to Postgres: the connection, the load log, the rows of a report, the migrations."""

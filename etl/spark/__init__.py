"""The one door to Spark and the lake: the pieces of a report that workers parse, the session, the branches of the tables."""

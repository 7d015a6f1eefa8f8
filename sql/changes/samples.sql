-- Take new samples of the columns with addresses: Postgres keeps some values of a table for its planner.
-- Reads the tables, writes the planner's statistics. Safe to repeat.
analyze visitor (email), statistics (email), errors (raw_line);

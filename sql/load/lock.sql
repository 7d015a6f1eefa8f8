-- Keep the meaning of the counters as it is until this transaction ends; other loads may go on.
-- Once the tables are ours too, waiting means that another load has the same visitor, and must last as long as that takes.
lock table visitor_basis in share mode;
lock table load_file, statistics, errors, visitor in row exclusive mode;
set local lock_timeout = 0;
-- Statements of every file are planned once, perhaps while the tables are small; they must do when those have grown.
set local enable_seqscan = off;

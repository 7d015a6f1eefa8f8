-- Keep all loads out until this transaction ends, and wait for those at work; reading goes on.
-- Statements that go by addresses use the index, however small the tables are.
lock table visitor_basis in exclusive mode;
set local enable_seqscan = off;

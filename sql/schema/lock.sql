-- Let one migration run at a time; the lock goes with the transaction. The key is the first half of md5('visitas-etl migrate').
-- No migration waits longer for a lock than 10 s: whoever comes later, readers too, waits behind it.
set local lock_timeout = '10s';
select pg_advisory_xact_lock(('x' || left(md5('visitas-etl migrate'), 16))::bit(64)::bigint);

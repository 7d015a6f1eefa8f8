-- Hold the lock of a scratch database for as long as this connection lives: drill_left passes over that database.
-- Before the database is there. Writes nothing. Safe to repeat.
select pg_advisory_lock(('x' || left(md5('visitas-etl drill ' || %(name)s), 16))::bit(64)::bigint);

-- Say that a run lives for as long as this connection does. Writes nothing. Safe to repeat.
-- The key is the first half of md5('visitas-etl run ' and the run's id); others of the same run may have it too.
select pg_advisory_lock_shared(('x' || left(md5('visitas-etl run ' || %(id)s), 16))::bit(64)::bigint);

-- Give the run lock back. Writes nothing. Safe to repeat: a lock that is not held is a warning.
select pg_advisory_unlock(('x' || left(md5('visitas-etl run'), 16))::bit(64)::bigint);

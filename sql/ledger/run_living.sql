-- Another run that has a connection, or no row. Reads load_run, writes nothing.
-- The lock that a living run shares is tried and given back when this transaction ends.
select format('run %%s', id)
from load_run
where status = 'running' and id <> %(id)s
  and not pg_try_advisory_xact_lock(('x' || left(md5('visitas-etl run ' || id), 16))::bit(64)::bigint)
limit 1;

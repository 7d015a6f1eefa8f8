-- Who holds the run lock and for how long, or no row. Reads pg_locks and load_run. The key is that of run_lock.
select r.id, coalesce(extract(epoch from now() - r.started_at), 0)::float
from (values (('x' || left(md5('visitas-etl run'), 16))::bit(64)::bigint)) as lock (key)
join pg_locks l on l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32 | l.objid::bigint) = key
               and l.database = (select oid from pg_database where datname = current_database())
left join lateral (select * from load_run where status = 'running' order by started_at desc limit 1) r on true;

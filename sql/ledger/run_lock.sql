-- Take the run lock for as long as this connection lives. Returns null, or who holds it.
-- Reads pg_locks, writes nothing. Safe to repeat. The key is the first half of md5('visitas-etl run').
select case when not pg_try_advisory_lock(key) then coalesce(
    (select format('run on host %s, Postgres process %s', coalesce(host(a.client_addr), 'local'), a.pid)
     from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database where datname = current_database())
       and (l.classid::bigint << 32 | l.objid::bigint) = key
     limit 1), 'a run that ended this moment') end
from (values (('x' || left(md5('visitas-etl run'), 16))::bit(64)::bigint)) as lock (key);

-- Take the run lock for as long as this connection lives. Returns null, or who holds it. Any role may hold it, for it is an advisory lock.
-- Reads pg_locks, writes nothing. Safe to repeat: a lock that this connection has is not taken twice.
-- The key is the first half of md5('visitas-etl run').
with run_locks as (
    select l.pid, (l.classid::bigint << 32 | l.objid::bigint) as key
    from pg_locks l
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
)
select case
    when exists (select from run_locks r where r.key = lock.key and r.pid = pg_backend_pid()) then null
    when not pg_try_advisory_lock(lock.key) then coalesce(
        (select format('%s on host %s, Postgres process %s',
                       case when a.application_name = 'visitas-etl' then 'run' else format('a session of role %s', a.usename) end,
                       coalesce(host(a.client_addr), 'local'), a.pid)
         from run_locks r join pg_stat_activity a using (pid)
         where r.key = lock.key
         limit 1), 'a run that ended this moment') end
from (values (('x' || left(md5('visitas-etl run'), 16))::bit(64)::bigint)) as lock (key);

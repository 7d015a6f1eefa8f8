-- Who may have kept a migration waiting, the oldest first, one text for each: the sessions that have a lock on our tables and
-- began their transaction before the wait of 10 s. Reads pg_locks: after the wait, pg_blocking_pids knows nobody. A role without
-- pg_read_all_stats does not see since when.
select case when l.pid is null then 'a prepared transaction, see pg_prepared_xacts'
            else format('process %s (%s of %s)', l.pid, coalesce(nullif(a.application_name, ''), a.backend_type, 'a program'),
                        coalesce(a.usename, 'the server')) end
       || coalesce(to_char(a.xact_start, '" since "YYYY-MM-DD HH24:MI:SS TZH:TZM'), '')
       || ' with locks on ' || string_agg(distinct coalesce(c.relname, 'migrations'), ', ')
from pg_locks l
left join pg_stat_activity a using (pid)
left join pg_class c on c.oid = l.relation
where l.granted and l.pid is distinct from pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and (c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
       or l.locktype = 'advisory'
          and (l.classid::bigint << 32 | l.objid::bigint) = ('x' || left(md5('visitas-etl migrate'), 16))::bit(64)::bigint)
  and (a.xact_start is null or a.xact_start < clock_timestamp() - interval '10 s')
group by l.pid, l.virtualtransaction, a.application_name, a.backend_type, a.usename, a.xact_start
order by a.xact_start;

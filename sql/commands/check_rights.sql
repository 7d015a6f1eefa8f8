-- What the current user must and may not do, as (thing, privilege) in the words of GRANT. Reads the catalogue.
select name, lower(privilege)
from unnest(array['visitor', 'visitor_basis', 'statistics', 'errors', 'load_file', 'load_campaign', 'load_gap', 'load_reject',
                   'load_migration', 'load_run', 'load_zip', 'load_change', 'load_replay', 'load_erased', 'lake_night']) as name,
     unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as privilege
where to_regclass(name) is not null and not has_table_privilege(name, privilege)
  and not (privilege = 'DELETE' and name not in ('visitor', 'statistics', 'errors', 'load_campaign', 'load_reject'))
  and not (privilege = 'UPDATE'
           and name in ('load_campaign', 'load_gap', 'load_reject', 'load_change', 'load_replay', 'load_erased'))
  and not (privilege <> 'SELECT' and name = 'load_migration')
union all
select 'sequence ' || pg_get_serial_sequence('load_file', 'id'), 'usage'
where not has_sequence_privilege(pg_get_serial_sequence('load_file', 'id'), 'USAGE')
union all
select 'function ' || oid::regprocedure, 'execute'
from pg_proc
where proname = 'visit_date' and pronamespace = current_schema()::regnamespace and not has_function_privilege(oid, 'EXECUTE')
order by 1, 2;

-- What the current user may not do and must, as (table, privilege). Reads the catalogue.
select name, privilege
from unnest(array['visitor', 'visitor_basis', 'statistics', 'errors', 'load_file', 'load_campaign', 'load_gap', 'load_reject',
                   'load_migration', 'load_run']) as name,
     unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as privilege
where not has_table_privilege(name, privilege)
  and not (privilege = 'DELETE' and name not in ('visitor'))
  and not (privilege = 'UPDATE' and name in ('errors', 'load_campaign', 'load_gap', 'load_reject'))
  and not (privilege <> 'SELECT' and name = 'load_migration')
union all
select 'load_file''s sequence', 'USAGE'
where not has_sequence_privilege(pg_get_serial_sequence('load_file', 'id'), 'USAGE')
order by 1, 2;

-- The reports named name, in order of coming, and for a duplicate the one that was loaded. Reads load_file.
select f.id, f.sha256, f.status, (f.loaded_at at time zone %(timezone)s)::timestamp(0), f.rows_read,
       case when f.archived_at is not null then f.archive_name end,
       case when f.status = 'duplicate' then
           (select o.name from load_file o where o.sha256 = f.sha256 and o.status = 'loaded') end
from load_file f
where f.name = %(name)s
order by f.id;

-- The reports named name, in order of coming; for a duplicate the one that was loaded, and what people changed.
-- Reads load_file and load_change.
select f.id, f.sha256, f.status, (f.loaded_at at time zone %(timezone)s)::timestamp(0), f.rows_read,
       case when f.archived_at is not null then f.archive_name end,
       case when f.status = 'duplicate' then
           (select o.name from load_file o where o.sha256 = f.sha256 and o.status = 'loaded') end,
       (select string_agg(format('%%s by %%s on %%s', what, changed_by,
                                 to_char(changed_at at time zone %(timezone)s, 'YYYY-MM-DD HH24:MI')), ', ' order by c.id)
        from load_change c
        where c.file_id = f.id)
from load_file f
where f.name = %(name)s
order by f.id;

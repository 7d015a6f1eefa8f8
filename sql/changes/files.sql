-- The reports with this id and name; a null asks for neither. Reads load_file.
-- A reload has the same bytes as the report that it was loaded from: is_newest says which of them was last.
select id, name, sha256, status, (loaded_at at time zone %(timezone)s)::timestamp(0), rows_read, rows_loaded, rows_rejected,
       case when archived_at is not null then archive_name end,
       id = (select max(o.id) from load_file o
             where coalesce(o.reload_of, o.id) = coalesce(f.reload_of, f.id)) as is_newest
from load_file f
where (%(file_id)s::integer is null or id = %(file_id)s) and (%(name)s::text is null or name = %(name)s)
order by id;

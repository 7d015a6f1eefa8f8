-- The reports with this id, this name and these bytes; a null does not ask. Reads load_file and load_zip.
-- is_newest: of the loads of the same bytes, the last; a duplicate is no load.
select id, name, sha256, status, (loaded_at at time zone %(timezone)s)::timestamp(0), rows_read, rows_loaded, rows_rejected,
       visitors_new, visitors_updated, case when archived_at is not null then archive_name end,
       exists (select from load_zip z where z.name = archive_name and z.pruned_at is not null) as is_pruned,
       id = (select max(o.id) from load_file o where o.sha256 = f.sha256 and o.status <> 'duplicate') as is_newest
from load_file f
where (%(file_id)s::integer is null or id = %(file_id)s) and (%(name)s::text is null or name = %(name)s)
  and (%(sha256)s::text is null or sha256 = %(sha256)s)
order by id;

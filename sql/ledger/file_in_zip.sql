-- The reports in checked zips, as the zips' manifests have them: without later changes. Reads load_file and load_change.
select f.id, name, bytes, extract(epoch from source_mtime)::bigint, sha256, coalesce(c.status, f.status),
       coalesce(c.rows_read, f.rows_read), coalesce(c.rows_loaded, f.rows_loaded), coalesce(c.rows_rejected, f.rows_rejected),
       server_said, archive_name, true
from load_file f
left join lateral (select * from load_change where file_id = f.id order by id limit 1) c on true
where archived_at is not null and reload_of is null
order by f.id;

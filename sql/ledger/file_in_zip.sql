-- The reports in checked zips. Reads load_file.
select id, name, bytes, extract(epoch from source_mtime)::bigint, sha256, status, rows_read, rows_loaded, rows_rejected, server_said,
       archive_name, true
from load_file
where archived_at is not null
order by id;

-- The reports that are not done with: in no checked zip yet, or perhaps still on the server. Reads load_file.
select id, name, bytes, extract(epoch from source_mtime)::bigint, sha256, status, rows_read, rows_loaded, rows_rejected, server_said,
       archive_name, archived_at is not null
from load_file
where archived_at is null or source_deleted_at is null
order by id;

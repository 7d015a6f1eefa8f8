-- Enter that file new_id came from the zip of file file_id: it is archived and gone from the server as that one is.
-- Reads and writes load_file. Safe to repeat.
update load_file f
set reload_of = coalesce(o.reload_of, o.id), bytes = o.bytes, source_mtime = o.source_mtime, server_said = o.server_said,
    first_seen_at = o.first_seen_at, archive_name = o.archive_name, archived_at = o.archived_at,
    source_deleted_at = o.source_deleted_at
from load_file o
where f.id = %(new_id)s and o.id = %(file_id)s;

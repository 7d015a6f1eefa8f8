-- Take a line that somebody has corrected, in the scratch database of a restore drill. Reads load_file, writes statistics.
-- Not to be repeated: the key refuses it.
insert into statistics
select line.*
from load_file f, jsonb_populate_record(null::statistics, %(row)s::jsonb || jsonb_build_object('file_id', f.id)) as line
where f.sha256 = %(sha256)s and f.status = 'loaded';

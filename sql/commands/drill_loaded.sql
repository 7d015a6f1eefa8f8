-- The loaded reports, as (zip, name): of what lies in the zips, these count. Reads load_file.
select archive_name, name
from load_file
where status = 'loaded' and archived_at is not null;

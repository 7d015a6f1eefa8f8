-- The last checked zip, and when it was checked. Reads load_file.
select archive_name, archived_at at time zone %(timezone)s
from load_file
where archived_at is not null
order by id desc
limit 1;

-- The zips that were checked on the days from first up to end. Reads load_file.
select distinct archive_name
from load_file
where archived_at >= %(first)s::timestamp at time zone %(timezone)s
  and archived_at < %(end)s::timestamp at time zone %(timezone)s
order by 1;

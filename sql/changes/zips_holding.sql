-- The zips with these bytes, and when they were read back and compared. Reads load_file and load_zip.
select distinct z.name, (z.proved_at at time zone %(timezone)s)::date
from load_file f
join load_zip z on z.name = f.archive_name
where f.sha256 = any(%(sha256s)s) and z.proved_at is not null and z.pruned_at is null
order by 2, 1;

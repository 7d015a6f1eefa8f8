-- The proved zips that hold the reports of the days from %(first)s up to %(end)s. Reads load_run and load_file.
select distinct f.archive_name
from load_run r
join load_file f on f.run_id = r.id
where r.started_at >= %(first)s::timestamp at time zone %(timezone)s
  and r.started_at < %(end)s::timestamp at time zone %(timezone)s
  and f.archived_at is not null
order by 1;

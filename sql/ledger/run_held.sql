-- The other run that has been at work for longest and since when, or no row. Reads load_run.
select id, extract(epoch from now() - started_at)::float
from load_run
where status = 'running' and id <> %(run_id)s
order by started_at
limit 1;

-- Nights of the days from first up to end that did not end well. Reads load_run.
select started_at at time zone %(timezone)s, status, exit_status, extract(epoch from finished_at - started_at)::float
from load_run
where script = 'etl' and status in ('failed', 'crashed')
  and started_at >= %(first)s::timestamp at time zone %(timezone)s
  and started_at < %(end)s::timestamp at time zone %(timezone)s
order by started_at, id;

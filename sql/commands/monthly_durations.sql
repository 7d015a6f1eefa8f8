-- Seconds that each night of the days from first up to end took, if it ended. Reads load_run.
select extract(epoch from finished_at - started_at)::float
from load_run
where script = 'etl' and finished_at is not null
  and started_at >= %(first)s::timestamp at time zone %(timezone)s
  and started_at < %(end)s::timestamp at time zone %(timezone)s;

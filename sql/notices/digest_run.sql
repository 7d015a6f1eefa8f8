-- The last run. Reads load_run.
select id, status, extract(epoch from finished_at - started_at)::float
from load_run
order by started_at desc, id desc
limit 1;

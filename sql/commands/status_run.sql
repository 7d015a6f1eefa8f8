-- The last run of etl.sh, seconds since it began, and what its reports brought. Reads load_run and load_file.
with last as (
    select * from load_run where script = 'etl' order by started_at desc, id desc limit 1
)
select started_at at time zone %(timezone)s, status, exit_status, extract(epoch from finished_at - started_at)::float,
       extract(epoch from now() - started_at)::float,
       (select count(*) from load_file f where f.run_id = last.id),
       (select coalesce(sum(rows_read), 0)::bigint from load_file f where f.run_id = last.id)
from last;

-- The last nights runs and what their reports brought, the latest last. Reads load_run and load_file.
with run as (
    select * from load_run order by started_at desc, id desc limit %(nights)s
), file as (
    select run_id, count(*) as files, count(*) filter (where f.status <> 'loaded') as not_loaded,
           sum(rows_read) as rows_read, sum(rows_loaded) as rows_loaded,
           sum(rows_rejected) as rows_rejected, max(archive_name) filter (where archived_at is not null) as archive_name
    from load_file f
    where run_id in (select id from run)
    group by run_id
)
select started_at at time zone %(timezone)s, script, status, exit_status, extract(epoch from finished_at - started_at)::float,
       coalesce(files, 0), coalesce(not_loaded, 0), coalesce(rows_read, 0)::bigint,
       coalesce(rows_loaded, 0)::bigint, coalesce(rows_rejected, 0)::bigint, archive_name
from run
left join file on file.run_id = run.id
order by started_at, id;

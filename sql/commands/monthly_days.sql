-- Each day from first up to end: its nights, and what their reports brought. A report belongs to the day on which its
-- run began, in timezone. Reads load_run and load_file.
with run as (
    select id, (started_at at time zone %(timezone)s)::date as day, script = 'etl' as is_night,
           status, extract(epoch from finished_at - started_at) as seconds
    from load_run
    where started_at >= %(first)s::timestamp at time zone %(timezone)s
      and started_at < %(end)s::timestamp at time zone %(timezone)s
), night as (
    select day, count(*) as nights, count(*) filter (where status = 'done') as done,
           count(*) filter (where status in ('failed', 'crashed')) as failed, sum(seconds) as seconds
    from run
    where is_night
    group by day
), file as (
    select day, count(*) as files,
           count(*) filter (where f.status = 'loaded') as loaded,
           count(*) filter (where f.status = 'duplicate') as duplicate,
           count(*) filter (where f.status = 'refused') as refused,
           count(*) filter (where f.status = 'quarantined') as quarantined,
           sum(rows_read) as rows_read, sum(rows_loaded) as rows_loaded, sum(rows_rejected) as rows_rejected,
           count(*) filter (where f.status = 'undone') as undone,
           sum(visitors_new) as visitors_new, sum(visitors_updated) as visitors_updated
    from run
    join load_file f on f.run_id = run.id
    group by day
)
select day, coalesce(nights, 0), coalesce(done, 0), coalesce(failed, 0), seconds::float, coalesce(files, 0), coalesce(loaded, 0),
       coalesce(duplicate, 0), coalesce(refused, 0), coalesce(quarantined, 0), coalesce(rows_read, 0)::bigint,
       coalesce(rows_loaded, 0)::bigint, coalesce(rows_rejected, 0)::bigint, coalesce(visitors_new, 0)::bigint,
       coalesce(visitors_updated, 0)::bigint, coalesce(undone, 0)
from generate_series(0, %(end)s::date - %(first)s::date - 1) as n
cross join lateral (select %(first)s::date + n as day) as calendar  -- dates only: some midnights do not exist
left join night using (day)
left join file using (day)
order by day;

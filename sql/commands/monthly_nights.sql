-- The nights from first up to end, one by one, and the runs by hand that brought reports; what their reports brought by now.
-- Reads load_run and report_fate.
select r.started_at::timestamp, r.script, r.status, r.exit_status, extract(epoch from r.finished_at - r.started_at)::float,
       count(f.file_id), coalesce(sum(f.rows_read), 0)::bigint, coalesce(sum(f.rows_rejected), 0)::bigint
from load_run r
left join report_fate f on f.run_id = r.id
where r.started_at >= %(first)s::date and r.started_at < %(end)s::date
group by r.id
having script = 'etl' or count(f.file_id) > 0
order by r.started_at, r.id;

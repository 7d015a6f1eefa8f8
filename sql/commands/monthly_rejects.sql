-- Reject codes of the reports that came from first up to end, and in the month before; the most frequent first. A line with two
-- codes counts under both. For each code a line of the report with most of them. Reads report_fate, load_reject and errors.
with counted as (
    select code, coalesce(sum(lines) filter (where came_at >= %(first)s::date), 0)::bigint as now,
           coalesce(sum(lines) filter (where came_at < %(first)s::date), 0)::bigint as before,
           (array_agg(f.name order by came_at >= %(first)s::date desc, lines desc, j.file_id))[1] as name,
           (array_agg(j.file_id order by came_at >= %(first)s::date desc, lines desc, j.file_id))[1] as file_id
    from report_fate f
    join load_reject j on j.file_id = f.counted_id
    where came_at >= %(first)s::date - interval '1 month' and came_at < %(end)s::date
    group by code
)
select code, now, before, name, line_number, message
from counted c
left join lateral (
    select line_number, message from errors e where e.file_id = c.file_id and code = any(codes) order by line_number limit 1
) example on true
order by now desc, before desc, code;

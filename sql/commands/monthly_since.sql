-- What people changed, up to now, in the reports that came from first up to end, as (delivery, what, day, lines).
-- Reads report_fate, load_file and load_change.
select f.file_id, c.what, c.changed_at::date, c.lines
from report_fate f
join load_file d on d.id = f.file_id
join load_file l on l.sha256 = d.sha256 and (l.id = d.id or l.reload_of = d.id)
join load_change c on c.file_id = l.id
where came_at >= %(first)s::date and came_at < %(end)s::date
order by c.id;

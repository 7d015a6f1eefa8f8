-- Reports that came from first up to end and were not loaded, came under a name known with another content, or were changed since.
-- status is the fate of the delivery, fate what became of it by now, then whether the same bytes came again and count there.
-- why: a refused or quarantined report says it in errors, line 1; same_as: the report that a duplicate has its bytes from.
-- Reads report_fate, load_file, load_change and errors.
select f.file_id, came_at::date, f.name, d.status, f.status, f.counted_id is null and d.status <> 'duplicate',
       greatest(d.rows_read, f.rows_read), d.name_reused, e.message,
       (select o.name from load_file o where o.sha256 = d.sha256 and o.status = 'loaded' and o.id <> d.id limit 1) as same_as
from report_fate f
join load_file d on d.id = f.file_id
left join errors e on e.file_id = d.id and e.line_number = 1 and d.status in ('refused', 'quarantined')
where came_at >= %(first)s::date and came_at < %(end)s::date
  and (d.status <> 'loaded' or d.name_reused or exists (select from load_change c where c.file_id = d.id))
order by f.file_id;

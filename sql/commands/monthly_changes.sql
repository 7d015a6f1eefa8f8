-- What people changed from first up to end, and who. Reads load_change and load_file.
select changed_at::timestamp, what, name, lines, changed_by
from load_change c
left join load_file f on f.id = c.file_id
where changed_at >= %(first)s::date and changed_at < %(end)s::date
order by c.id;

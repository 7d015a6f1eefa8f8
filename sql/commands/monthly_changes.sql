-- What people changed on the days from first up to end, and who. Reads load_change and load_file.
select changed_at at time zone %(timezone)s, what, name, lines, changed_by
from load_change c
left join load_file f on f.id = c.file_id
where changed_at >= %(first)s::timestamp at time zone %(timezone)s
  and changed_at < %(end)s::timestamp at time zone %(timezone)s
order by c.id;

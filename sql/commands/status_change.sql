-- What people changed last. Reads load_change and load_file.
select changed_at at time zone %(timezone)s, what || coalesce(' of ' || f.name, ''), changed_by
from load_change c
left join load_file f on f.id = c.file_id
order by c.id desc
limit 1;

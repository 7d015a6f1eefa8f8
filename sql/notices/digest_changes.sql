-- What was changed since the last night before this one ended, and by whom. Reads load_change, load_file and load_run.
select what, f.name || ' (ID ' || f.id || ')', lines, changed_by
from load_change c
left join load_file f on f.id = c.file_id
where changed_at > coalesce((select max(finished_at) from load_run where script = 'etl' and id <> %(run_id)s), '-infinity')
order by c.id;

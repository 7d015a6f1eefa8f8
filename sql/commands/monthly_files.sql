-- Reports of the days from first up to end that were not loaded, or came under a name known with another content, and
-- why: a refused or quarantined report says it in errors, line 1; a duplicate names the report with the same bytes.
-- An undone one names who did it. Reads load_run, load_file, load_change and errors.
select (r.started_at at time zone %(timezone)s)::date, f.name, f.status, f.rows_read,
       case when f.status = 'duplicate' then
                (select 'same bytes as ' || o.name from load_file o where o.sha256 = f.sha256 and o.status = 'loaded')
            when f.status = 'loaded' then 'name known with another content'
            when f.status = 'undone' then
                (select c.what || ' by ' || c.changed_by from load_change c
                 where c.file_id = f.id and c.what in ('undo', 'replace') order by c.id desc limit 1)
            else (select e.message from errors e where e.file_id = f.id and e.line_number = 1) end
from load_run r
join load_file f on f.run_id = r.id
where r.started_at >= %(first)s::timestamp at time zone %(timezone)s
  and r.started_at < %(end)s::timestamp at time zone %(timezone)s
  and (f.status <> 'loaded' or f.name_reused)
order by f.id;

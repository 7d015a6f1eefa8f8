-- Reports missing in the consecutive numbers that runs from first up to end noticed, and whether they came after all.
-- Reads load_run, load_gap and load_file.
select r.started_at::date, g.name, exists (select from load_file f where f.name = g.name)
from load_run r
join load_gap g on g.run_id = r.id
where r.started_at >= %(first)s::date and r.started_at < %(end)s::date;

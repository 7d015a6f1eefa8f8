-- The lines that Postgres refused, now or before somebody corrected them, as (sha256, line_number).
-- Reads load_file, errors and load_replay.
select f.sha256, e.line_number
from errors e
join load_file f on f.id = e.file_id
where e.codes = array['load-refused']
union all
select f.sha256, r.line_number
from load_replay r
join load_file f on f.id = r.file_id
where f.status = 'loaded';

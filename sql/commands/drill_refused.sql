-- The lines that Postgres refused, as (sha256, line_number). Reads load_file and errors.
select f.sha256, e.line_number
from errors e
join load_file f on f.id = e.file_id
where e.codes = array['load-refused'];

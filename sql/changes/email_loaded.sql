-- The loaded lines of address email, as (sha256, line_number). Reads statistics and load_file.
select f.sha256, s.line_number
from statistics s
join load_file f on f.id = s.file_id
where s.email = %(email)s;

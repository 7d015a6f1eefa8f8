-- The lines that somebody has corrected, as (sha256, row). Reads load_replay, load_file and statistics.
select f.sha256, to_jsonb(s)
from load_replay r
join load_file f on f.id = r.file_id
join statistics s on s.file_id = r.file_id and s.line_number = r.line_number
where f.status = 'loaded';

-- What is kept of these lines of file file_id: (line_number, message, raw_line) of a rejected line. Two nulls: it was corrected
-- already. Reads errors and load_replay.
select line_number, message, coalesce(raw_line, '')
from errors
where file_id = %(file_id)s and line_number = any(%(line_numbers)s)
union all
select line_number, null, null
from load_replay
where file_id = %(file_id)s and line_number = any(%(line_numbers)s);

-- Count the reject codes of tonight's files, each with the first line that has it. Reads the view rejected.
select file_id, code, count(*), min(line_number), min_by(message, line_number),
       min_by(concat('{', array_join(codes, ','), '}'), line_number)
from rejected
lateral view explode(codes) as code
group by file_id, code;

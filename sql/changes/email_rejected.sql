-- The rejected lines that may hold address email, as (sha256, line_number, raw_line). It may be written in capitals, and, where
-- letters are not ASCII, or stand for such letters, in other ways. Reads errors and load_file.
select f.sha256, e.line_number, e.raw_line
from errors e
join load_file f on f.id = e.file_id
where strpos(raw_line, '@') > 0
  and (strpos(lower(raw_line), %(email)s) > 0 or octet_length(raw_line) > char_length(raw_line) or lower(raw_line) ~ 'xn-{2}');

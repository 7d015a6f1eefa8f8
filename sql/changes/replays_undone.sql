-- The lines of these bytes that were corrected in an earlier load. Reads load_replay, load_file and load_erased.
select distinct r.line_number
from load_file f
join load_replay r on r.file_id = f.id
where f.sha256 = %(sha256)s and f.status = 'undone'
  and not exists (select from load_erased e where e.sha256 = f.sha256 and e.line_number = r.line_number)
order by 1;

-- Count file file_id's reject codes. Reads errors, writes load_reject.
-- Not to be repeated: it runs in the transaction that inserts the lines, after the last of them.
insert into load_reject (file_id, code, lines)
select file_id, code, count(*)
from errors
cross join unnest(codes) as code
where file_id = %(file_id)s
group by file_id, code;

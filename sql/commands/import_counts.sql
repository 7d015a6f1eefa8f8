-- What the load log counts of each file with lines in the tables: loaded and rejected lines. Reads load_file and errors.
select f.id, f.rows_loaded, (select count(*) from errors e where e.file_id = f.id)
from load_file f
where f.rows_loaded > 0 or exists (select from errors e where e.file_id = f.id)
order by f.id;

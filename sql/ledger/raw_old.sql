-- The reports loaded more than days days ago whose rejected lines are kept as received, and how many such lines there are.
-- Reads load_file and errors.
select id, (select count(raw_line) from errors e where e.file_id = f.id)
from load_file f
where loaded_at < now() - make_interval(days => %(days)s) and raw_pruned_at is null
order by id;

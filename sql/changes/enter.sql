-- Enter that changed_by changes file file_id, with status and counts from before; a reload has none. No lines: all. Reads load_file,
-- writes load_change. Not to be repeated: it runs in the transaction that changes the file, before the change.
insert into load_change (changed_by, what, file_id, lines, status, rows_read, rows_loaded, rows_rejected)
select %(changed_by)s, %(what)s, %(file_id)s, coalesce(%(lines)s, f.rows_read), f.status, f.rows_read, f.rows_loaded, f.rows_rejected
from (select) as change
left join load_file f on f.id = %(file_id)s and %(what)s <> 'reload';

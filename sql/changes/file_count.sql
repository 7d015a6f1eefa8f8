-- Count lines of file file_id that a change has loaded or rejected, or less than 0 that it has taken away, and its visitors.
-- Writes load_file. Not to be repeated: it runs once in the transaction of a change.
update load_file
set rows_loaded = rows_loaded + %(loaded)s, rows_rejected = rows_rejected + %(rejected)s,
    rows_read = rows_read + %(loaded)s + %(rejected)s,
    visitors_new = least(visitors_new + %(new)s, %(visitors)s),
    visitors_updated = %(visitors)s - least(visitors_new + %(new)s, %(visitors)s)
where id = %(file_id)s;

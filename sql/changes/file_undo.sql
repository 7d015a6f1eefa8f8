-- Take file file_id back: its lines, its rejects and its sums go, its row stays. The visitors are recounted before.
-- Writes statistics, errors, load_campaign, load_reject and load_file. Safe to repeat.
with line as (
    delete from statistics where file_id = %(file_id)s
), reject as (
    delete from errors where file_id = %(file_id)s
), mail as (
    delete from load_campaign where file_id = %(file_id)s
), code as (
    delete from load_reject where file_id = %(file_id)s
)
update load_file
set status = 'undone', rows_read = 0, rows_loaded = 0, rows_rejected = 0, visitors_new = 0, visitors_updated = 0
where id = %(file_id)s;

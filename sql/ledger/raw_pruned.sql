-- Give up the rejected lines of the reports as received, and enter that. Writes errors and load_file. Safe to repeat.
with file as (
    update load_file set raw_pruned_at = now() where id = any(%(ids)s) and raw_pruned_at is null
)
update errors set raw_line = null where file_id = any(%(ids)s) and raw_line is not null;

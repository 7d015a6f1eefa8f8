-- Enter the size of the database at the end of a run. Writes load_run. Safe to repeat: the last size counts.
update load_run set database_bytes = pg_database_size(current_database()) where id = %(id)s;

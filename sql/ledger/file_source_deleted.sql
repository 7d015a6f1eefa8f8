-- Enter that the source copies are gone. Writes load_file. Safe to repeat.
update load_file set source_deleted_at = now() where id = any(%(ids)s);

-- Enter that the zip is in place, read back and compared. Writes load_file. Safe to repeat.
update load_file set archived_at = now() where id = any(%(ids)s);

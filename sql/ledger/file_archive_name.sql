-- Enter which zip is about to be put in place. Writes load_file. Safe to repeat.
update load_file set archive_name = %(archive_name)s where id = any(%(ids)s);

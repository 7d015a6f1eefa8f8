-- Enter that the zip is in place, read back and compared. Writes load_zip. Safe to repeat.
update load_zip set proved_at = now() where name = %(name)s;

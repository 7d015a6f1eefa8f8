-- Enter an applied migration. Writes load_migration, in the transaction of the migration. Not to be repeated: the key refuses it.
insert into load_migration (id, sha256) values (%(id)s, %(sha256)s);

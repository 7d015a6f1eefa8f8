-- The migrations that were applied. Reads yoyo's own table.
select migration_id from _yoyo_migration;

-- The migrations that yoyo applied. Reads the table of yoyo, and leaves it as it is.
select migration_id from _yoyo_migration;

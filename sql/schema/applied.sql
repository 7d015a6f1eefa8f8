-- The migrations that were applied, with the hash that each file had. Reads load_migration.
select id, sha256 from load_migration;

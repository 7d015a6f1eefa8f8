-- Make the record of applied migrations. Runs once, before the first migration: that migration is entered here too.
create table load_migration (
    id          text primary key,
    sha256      text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at  timestamptz not null default now()
);
grant select on load_migration to public;  -- every program compares its files with it; it holds nothing of a report
comment on table load_migration is 'One row per migration that was applied to this database.';
comment on column load_migration.id is 'Name of the file in sql/migrations, without .sql.';
comment on column load_migration.sha256 is 'SHA-256 of that file when it was applied, lower-case hex.';
comment on column load_migration.applied_at is 'When it was applied. For a migration that is older than this table: when this table was made.';

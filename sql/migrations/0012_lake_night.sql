-- The nights whose rows are in the lake. Forward only; applied once by etl/postgres/migrations.py.

create table lake_night (
    branch        text primary key,
    run_id        text not null references load_run,
    decided_at    timestamptz not null default now(),
    published_at  timestamptz
);
comment on table statistics is 'One row per valid line of a report. If lake_night has rows, the later lines are in Iceberg tables.';
comment on table visitor is 'One row per address with at least one visit; equals a recount of statistics at visitor_basis. If lake_night has rows, the visitors are in Iceberg tables.';
comment on table errors is 'One row per rejected line; a fault of a whole file stands at line 1. Of files whose lines are in Iceberg tables, the first line of each code.';
comment on table lake_night is 'One row for each night whose rows are in Iceberg tables: its branch counts, and was published or will be.';
comment on column lake_night.branch is 'The branch of the three tables that the rows were written to.';
comment on column lake_night.run_id is 'The run that wrote it.';
comment on column lake_night.decided_at is 'When the load log''s transaction for this night began.';
comment on column lake_night.published_at is 'When all three tables had the branch; NULL: the next start publishes it.';

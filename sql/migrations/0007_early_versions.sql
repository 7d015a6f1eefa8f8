-- 0001 and 0004 were edited in their first hours. A database with an early version lacks what the edits brought, and no night
-- ends well there. This adds what is lacking; a database that lacks nothing stays as it is. Forward only; applied once.

do $$
begin
    if to_regclass('load_gap') is null then
        create table load_gap (
            name        text primary key,
            run_id      text not null references load_run,
            noticed_at  timestamptz not null default now()
        );
        comment on table load_gap is 'Reports missing in the consecutive numbers when first noticed; one that came later is in load_file too.';
        comment on column load_gap.name is 'Name that the missing report would have.';
        comment on column load_gap.run_id is 'The run that noticed and reported it.';
        comment on column load_gap.noticed_at is 'When it was noticed.';
        comment on column load_run.script is 'etl for etl.sh, else the stage that was run by hand.';
    end if;

    if to_regclass('load_file_open') is null then
        drop index if exists load_file_unarchived;
        create index load_file_open on load_file (id) where archived_at is null or source_deleted_at is null;
    end if;

    if to_regclass('load_reject') is null then
        create table load_reject (
            file_id  integer not null,
            code     text not null,
            lines    integer not null,
            primary key (file_id, code)
        );
        comment on table load_reject is 'How often each reject code occurs in a file; written with the file. A line with two codes counts under both.';
        comment on column load_reject.file_id is 'The file, see load_file.id.';
        comment on column load_reject.code is 'Reject code; the README lists them.';
        comment on column load_reject.lines is 'Lines of errors with this code.';
        insert into load_reject
        select file_id, code, count(*)
        from errors
        cross join unnest(codes) as code
        group by file_id, code;
    end if;

    if to_regclass('load_file_archived') is null then
        create index load_file_archived on load_file (archived_at);
    end if;
end
$$;

-- The zips in a table of their own: what their bytes are, and which of them are pruned. Rejected lines may be pruned too.
-- Forward only; applied once by etl/postgres/migrations.py.

create table load_zip (
    name       text primary key,
    sha256     text check (sha256 ~ '^[0-9a-f]{64}$'),
    bytes      bigint,
    files      integer not null,
    proved_at  timestamptz,
    pruned_at  timestamptz,
    check ((sha256 is null) = (bytes is null)),
    check (pruned_at is null or proved_at is not null)
);
comment on table load_zip is 'One row per backup zip, entered just before the zip gets its final name.';
comment on column load_zip.name is 'File name in BACKUP_DIR; it ends in .zip.age if the zip is encrypted.';
comment on column load_zip.sha256 is 'SHA-256 of the file as it lies there, encrypted or not, lower-case hex; NULL: from before this was kept.';
comment on column load_zip.bytes is 'Size of the file as it lies there; NULL: from before this was kept.';
comment on column load_zip.files is 'Number of reports in it.';
comment on column load_zip.proved_at is 'When the zip was in place, read back and compared; NULL: a run was killed before that.';
comment on column load_zip.pruned_at is 'When BACKUP_KEEP_DAYS had passed and the zip was given up; its file is deleted right after. NULL while it is kept.';

insert into load_zip (name, files, proved_at)
select archive_name, count(*), max(archived_at)
from load_file
where archive_name is not null
group by archive_name;

alter table load_file add column raw_pruned_at timestamptz;
comment on column load_file.raw_pruned_at is 'When ERRORS_KEEP_DAYS had passed and errors.raw_line of this file became NULL; NULL while the lines are kept.';

alter table errors alter column raw_line drop not null;
comment on column errors.raw_line is 'The line as received, NUL and bad bytes escaped, cut at 64 KiB; NULL: no longer kept, see load_file.raw_pruned_at.';

comment on table load_run is 'One row per run of etl.sh, of one stage by hand, or of a command that changes data.';
comment on column load_run.script is 'etl for etl.sh, else the stage or the command.';

-- What a person changed, and the lines that no load may bring back. Forward only; applied once by etl/postgres/migrations.py.

alter table load_file drop constraint load_file_status_check;
alter table load_file add constraint load_file_status_check
    check (status in ('loaded', 'duplicate', 'refused', 'quarantined', 'undone'));
comment on column load_file.status is
    'loaded; duplicate (same bytes as a loaded file); refused (not a report); quarantined (too many rejected lines); undone (was loaded, and was taken back).';
alter table load_file add column reload_of integer;
comment on column load_file.reload_of is
    'The delivery whose zip this load came from, see load_file.id; NULL: the file came from the server.';

-- The loads of the same bytes: duplicates and reloads.
create index load_file_sha256 on load_file (sha256);

create table load_change (
    id             bigint generated always as identity primary key,
    changed_at     timestamptz not null default now(),
    changed_by     text not null,
    what           text not null check (what in ('undo', 'reload', 'replay', 'forget', 'replace', 'prune')),
    file_id        integer,
    lines          integer not null,
    status         text,
    rows_read      integer,
    rows_loaded    integer,
    rows_rejected  integer
);
create index load_change_file on load_change (file_id);
create index load_change_changed on load_change (changed_at);
comment on table load_change is 'One row for each change to a file that was in the load log; never deleted. A forgotten person may have lines in several files.';
comment on column load_change.id is 'In order of the changes.';
comment on column load_change.changed_at is 'When the change began.';
comment on column load_change.changed_by is 'Who made it: user@host.';
comment on column load_change.what is 'undo; reload; replay; forget; prune; replace (a corrected report took the file''s place).';
comment on column load_change.file_id is 'The file, see load_file.id; for a reload the new one; NULL for a prune.';
comment on column load_change.lines is 'Lines that were taken back, loaded, moved from errors to statistics, or erased; of a prune, lines that are no longer kept as received.';
comment on column load_change.status is 'Status of the file before; NULL: there was no such file before.';
comment on column load_change.rows_read is 'As in load_file, before the change. The first change of a file holds what its zip''s manifest says.';
comment on column load_change.rows_loaded is 'As in load_file, before the change.';
comment on column load_change.rows_rejected is 'As in load_file, before the change.';

create table load_replay (
    file_id      integer not null,
    line_number  integer not null,
    primary key (file_id, line_number)
);
comment on table load_replay is 'One row per rejected line that a person corrected: it is in statistics, and not as its zip has it.';
comment on column load_replay.file_id is 'The file, see load_file.id.';
comment on column load_replay.line_number is 'Physical line in the file; the header is line 1.';

create table load_erased (
    sha256       text not null,
    line_number  integer not null,
    primary key (sha256, line_number)
);
comment on table load_erased is 'One row per line of a person who was forgotten: these bytes may come again, this line is passed over.';
comment on column load_erased.sha256 is 'SHA-256 of the file''s bytes, lower-case hex.';
comment on column load_erased.line_number is 'Physical line in the file; the header is line 1.';

-- The line of a forgotten person that stands for a whole file keeps its reason only.
alter table errors alter column raw_line drop not null;
comment on column errors.raw_line is 'The line as received, NUL and bad bytes escaped, cut at 64 KiB; NULL: no longer kept.';

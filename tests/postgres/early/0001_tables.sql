-- The tables of contract section 7. Forward only; applied once, in one transaction, by etl/migrate.py.

create table load_run (
    id           text primary key,
    script       text not null,
    host         text not null,
    started_at   timestamptz not null,
    finished_at  timestamptz,
    as_of        date not null,
    visit_event  text not null check (visit_event in ('envio', 'open', 'click')),
    status       text not null default 'running' check (status in ('running', 'done', 'failed', 'crashed')),
    exit_status  integer,
    check ((status in ('done', 'failed')) = (exit_status is not null))
);
comment on table load_run is 'One row per run of etl.sh, or of one stage run by hand.';
comment on column load_run.id is 'Run id as in the logs: UTC start and process id.';
comment on column load_run.script is 'etl.sh, or the stage that was run by hand.';
comment on column load_run.host is 'Name of the machine that ran it.';
comment on column load_run.started_at is 'When the run began.';
comment on column load_run.finished_at is 'When the run ended; NULL while it runs or if it crashed.';
comment on column load_run.as_of is 'The date whose year and month the visitor counters mean.';
comment on column load_run.visit_event is 'Which date of a line counts as the visit: envio, open or click.';
comment on column load_run.status is 'running; done (exit status 0 or 3); failed; crashed (ended without a word, found by the next start).';
comment on column load_run.exit_status is 'Exit status of the run; NULL while it runs or if it crashed.';

create table load_file (
    id                 integer primary key,
    run_id             text not null references load_run,
    name               text not null,
    sha256             text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    bytes              bigint not null,
    source_mtime       timestamptz not null,
    status             text not null check (status in ('loaded', 'duplicate', 'refused', 'quarantined')),
    name_reused        boolean not null,
    rows_read          integer not null,
    rows_loaded        integer not null,
    rows_rejected      integer not null,
    visitors_new       integer not null,
    visitors_updated   integer not null,
    first_seen_at      timestamptz not null,
    loaded_at          timestamptz not null default now(),
    archive_name       text,
    archived_at        timestamptz,
    source_deleted_at  timestamptz,
    constraint conservation check (rows_read = rows_loaded + rows_rejected),
    constraint only_loaded_has_rows check (status = 'loaded' or rows_loaded = 0)
);
-- The same bytes are loaded once, whatever two runs try at the same time.
create unique index load_file_loaded_once on load_file (sha256) where status = 'loaded';
create index load_file_name on load_file (name);
create index load_file_unarchived on load_file (id) where archived_at is null;
comment on table load_file is 'The load log: one row per report delivered, whatever became of it.';
comment on column load_file.id is 'File id: 1, 2, 3 … in order of loading, without gaps.';
comment on column load_file.run_id is 'The run that decided the file''s status.';
comment on column load_file.name is 'File name on the SFTP server.';
comment on column load_file.sha256 is 'SHA-256 of the bytes, lower-case hex: the file''s identity.';
comment on column load_file.bytes is 'Size in bytes.';
comment on column load_file.source_mtime is 'Modification time on the SFTP server, in whole seconds.';
comment on column load_file.status is 'loaded; duplicate (same bytes as a loaded file); refused (not a report); quarantined (too many rejected lines).';
comment on column load_file.name_reused is 'Whether another content had come under this name before.';
comment on column load_file.rows_read is 'Records in the file: lines after the header that are not blank; 0 for a duplicate or refused file.';
comment on column load_file.rows_loaded is 'Records in statistics.';
comment on column load_file.rows_rejected is 'Records not loaded; each is in errors, but for a quarantined file''s good lines.';
comment on column load_file.visitors_new is 'Addresses that this file brought for the first time.';
comment on column load_file.visitors_updated is 'Addresses already known that this file counted visits for.';
comment on column load_file.first_seen_at is 'When the file was pulled from the server.';
comment on column load_file.loaded_at is 'When the file''s transaction began.';
comment on column load_file.archive_name is 'Name of the zip that holds the file; not proved before archived_at is set.';
comment on column load_file.archived_at is 'When the zip was in place, read back and compared.';
comment on column load_file.source_deleted_at is 'When the source copy was deleted, or found gone; NULL while it is kept.';

create table visitor (
    email                 text collate "C" primary key,
    fecha_primera_visita  timestamp not null,
    fecha_ultima_visita   timestamp not null,
    visitas_totales       integer not null,
    visitas_anio_actual   integer not null,
    visitas_mes_actual    integer not null,
    check (visitas_totales >= visitas_anio_actual and visitas_anio_actual >= visitas_mes_actual)
) with (fillfactor = 70);  -- room for updates of a row in its own page
comment on table visitor is 'One row per address with at least one visit; equals a recount of statistics at visitor_basis.';
comment on column visitor.email is 'Normalized address in lower case.';
comment on column visitor.fecha_primera_visita is 'Earliest visit.';
comment on column visitor.fecha_ultima_visita is 'Latest visit.';
comment on column visitor.visitas_totales is 'Number of visits.';
comment on column visitor.visitas_anio_actual is 'Visits in the year of visitor_basis.as_of.';
comment on column visitor.visitas_mes_actual is 'Visits in the year and month of visitor_basis.as_of.';

create table visitor_basis (
    only_row     boolean primary key default true check (only_row),
    as_of        date not null,
    visit_event  text not null check (visit_event in ('envio', 'open', 'click'))
);
comment on table visitor_basis is 'What the counters in visitor mean: one row, changed in the transaction that changes them.';
comment on column visitor_basis.only_row is 'Always true: keeps the table to one row.';
comment on column visitor_basis.as_of is 'The date whose year and month are the current ones.';
comment on column visitor_basis.visit_event is 'Which date of a line counts as the visit.';

create table statistics (
    -- The transaction that loads a file says once which file it is: COPY then goes straight into this table.
    -- No foreign keys: load_file's row comes from the same transaction, and a check per row costs a third of the load.
    file_id         integer not null default current_setting('visitas.file_id')::integer,
    line_number     integer not null,
    email           text collate "C" not null,
    jyv             text,
    badmail         text,
    baja            text,
    fecha_envio     timestamp not null,
    fecha_open      timestamp,
    opens           integer,
    opens_virales   integer,
    fecha_click     timestamp,
    clicks          integer,
    clicks_virales  integer,
    links           text,
    ips             text,
    navegadores     text,
    plataformas     text,
    primary key (file_id, line_number)
);
create index statistics_email on statistics (email);
comment on table statistics is 'One row per valid line of a report.';
comment on column statistics.file_id is 'The file, see load_file.id.';
comment on column statistics.line_number is 'Physical line in the file; the header is line 1.';
comment on column statistics.email is 'Normalized address in lower case.';
comment on column statistics.jyv is 'Second column, whose header varies; NULL for nothing.';
comment on column statistics.badmail is 'Kind of bounce, HARD for a hard one; NULL for nothing.';
comment on column statistics.baja is 'SI if the person unsubscribed; NULL for nothing.';
comment on column statistics.fecha_envio is 'When the mail was sent.';
comment on column statistics.fecha_open is 'When it was opened, which may be before fecha_envio; NULL for never.';
comment on column statistics.opens is 'Number of opens; NULL for nothing.';
comment on column statistics.opens_virales is 'Number of viral opens; NULL for nothing.';
comment on column statistics.fecha_click is 'When a link was clicked; NULL for never.';
comment on column statistics.clicks is 'Number of clicks; NULL for nothing.';
comment on column statistics.clicks_virales is 'Number of viral clicks; NULL for nothing.';
comment on column statistics.links is 'Numbers of the links clicked, a comma list; NULL for nothing.';
comment on column statistics.ips is 'Addresses of the readers, a comma list; NULL for nothing.';
comment on column statistics.navegadores is 'Browsers, a comma list whose elements may be empty; NULL for nothing.';
comment on column statistics.plataformas is 'Platforms, a comma list; NULL for nothing.';

create table errors (
    file_id      integer not null default current_setting('visitas.file_id')::integer,
    line_number  integer not null,
    codes        text[] not null check (cardinality(codes) > 0),
    message      text not null,
    raw_line     text not null,
    primary key (file_id, line_number)
);
comment on table errors is 'One row per rejected line; a fault of a whole file stands at line 1.';
comment on column errors.file_id is 'The file, see load_file.id.';
comment on column errors.line_number is 'Physical line in the file; the header is line 1.';
comment on column errors.codes is 'Reject codes in column order, each once; the README lists them.';
comment on column errors.message is 'All faults of the line in words, mailboxes masked.';
comment on column errors.raw_line is 'The line as received, NUL and bad bytes escaped, cut at 64 KiB.';

-- The visit rule, once: every count of visits goes through it, and the planner inlines it.
create function visit_date(event text, envio timestamp, open timestamp, click timestamp) returns timestamp
    language sql immutable
    return case event when 'envio' then envio when 'open' then open when 'click' then click end;
comment on function visit_date is 'The date of a line that counts as the visit; NULL if the line is no visit.';

-- What the monthly report needs without reading every line again. Forward only; applied once by etl/migrate.py.

create table load_campaign (
    send_date     date not null,
    file_id       integer not null,
    sent          integer not null,
    hard_bounces  integer not null,
    opened        integer not null,
    clicked       integer not null,
    unsubscribed  integer not null,
    primary key (send_date, file_id)
);
comment on table load_campaign is 'What became of the mails of one day, file by file; written with the file.';
comment on column load_campaign.send_date is 'Day of fecha_envio.';
comment on column load_campaign.file_id is 'The file, see load_file.id.';
comment on column load_campaign.sent is 'Mails sent: lines in statistics.';
comment on column load_campaign.hard_bounces is 'Mails that bounced for good: badmail is HARD.';
comment on column load_campaign.opened is 'Mails opened at least once.';
comment on column load_campaign.clicked is 'Mails with at least one click.';
comment on column load_campaign.unsubscribed is 'Mails after which the person unsubscribed: baja is SI.';

insert into load_campaign
select fecha_envio::date, file_id, count(*), count(*) filter (where badmail = 'HARD'), count(fecha_open), count(fecha_click),
       count(*) filter (where baja = 'SI')
from statistics
group by fecha_envio::date, file_id;

create index load_file_run on load_file (run_id);

alter table load_run add column database_bytes bigint;
comment on column load_run.database_bytes is 'Size of the database when the run ended; NULL while it runs, if it crashed, and before this was kept.';

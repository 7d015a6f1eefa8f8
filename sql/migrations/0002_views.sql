-- What an analyst asks first. Forward only; applied once by etl/migrate.py.

create view campaign_summary as
with sent as (
    select s.*, s.fecha_envio::date as send_date,
           min(s.fecha_envio) over (partition by s.file_id, s.fecha_envio::date) as first_send
    from statistics s
), counted as (
    select file_id, send_date,
           count(*) as sent,
           count(*) filter (where badmail = 'HARD') as hard_bounces,
           count(fecha_open) as opened,
           count(fecha_click) as clicked,
           count(*) filter (where baja = 'SI') as unsubscribed,
           percentile_cont(0.5) within group (order by extract(epoch from fecha_open - first_send) / 3600)
               filter (where fecha_open > first_send) as median_hours_to_open
    from sent
    group by file_id, send_date
)
select f.name as file_name, c.file_id, c.send_date, c.sent, c.hard_bounces, c.opened, c.clicked, c.unsubscribed,
       round(c.opened::numeric / nullif(c.sent - c.hard_bounces, 0), 4) as open_rate,
       round(c.clicked::numeric / nullif(c.sent - c.hard_bounces, 0), 4) as click_rate,
       round(c.clicked::numeric / nullif(c.opened, 0), 4) as click_to_open_rate,
       round(c.median_hours_to_open::numeric, 2) as median_hours_to_open
from counted c
join load_file f on f.id = c.file_id;
comment on view campaign_summary is 'Per file and send date: what was sent and what came of it. Rates are shares of the mails delivered (sent less hard bounces).';
comment on column campaign_summary.file_name is 'Name of the report.';
comment on column campaign_summary.file_id is 'The file, see load_file.id.';
comment on column campaign_summary.send_date is 'Day of fecha_envio.';
comment on column campaign_summary.sent is 'Mails sent: lines.';
comment on column campaign_summary.hard_bounces is 'Mails that bounced for good: badmail is HARD.';
comment on column campaign_summary.opened is 'Mails opened at least once.';
comment on column campaign_summary.clicked is 'Mails with at least one click.';
comment on column campaign_summary.unsubscribed is 'Mails after which the person unsubscribed: baja is SI.';
comment on column campaign_summary.open_rate is 'opened / (sent - hard_bounces), 0 to 1.';
comment on column campaign_summary.click_rate is 'clicked / (sent - hard_bounces), 0 to 1.';
comment on column campaign_summary.click_to_open_rate is 'clicked / opened; above 1 if clicks came without an open.';
comment on column campaign_summary.median_hours_to_open is 'Median hours from the first send of file and day to the opens after it; NULL without any.';

create view rejects_by_code as
select code, count(*) as lines, count(distinct e.file_id) as files, min(f.loaded_at) as first_seen_at, max(f.loaded_at) as last_seen_at
from errors e
cross join unnest(e.codes) as code
join load_file f on f.id = e.file_id
group by code;
comment on view rejects_by_code is 'How often each reject code occurred. A line with two codes counts under both.';
comment on column rejects_by_code.code is 'Reject code; the README lists them.';
comment on column rejects_by_code.lines is 'Rejected lines with this code.';
comment on column rejects_by_code.files is 'Files with such a line.';
comment on column rejects_by_code.first_seen_at is 'When a file with such a line was first loaded.';
comment on column rejects_by_code.last_seen_at is 'When a file with such a line was last loaded.';

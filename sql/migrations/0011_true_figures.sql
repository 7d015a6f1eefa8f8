-- The figures of the monthly report as views: a rate is a part of its whole, and the same bytes count once.
-- Forward only; applied once by etl/postgres/migrations.py.

-- A mail that bounced for good was not delivered. What the columns count from now on is a part of the mails delivered.
alter table load_campaign add column opened_and_clicked integer not null default 0;
update load_campaign c
set opened = s.opened, clicked = s.clicked, opened_and_clicked = s.opened_and_clicked, unsubscribed = s.unsubscribed
from (
    select fecha_envio::date as send_date, file_id, count(fecha_open) as opened, count(fecha_click) as clicked,
           count(*) filter (where fecha_open is not null and fecha_click is not null) as opened_and_clicked,
           count(*) filter (where baja = 'SI') as unsubscribed
    from statistics
    where badmail is distinct from 'HARD'
    group by 1, 2
) s
where (c.send_date, c.file_id) = (s.send_date, s.file_id);
update load_campaign set opened = 0, clicked = 0, unsubscribed = 0 where sent = hard_bounces;
alter table load_campaign alter column opened_and_clicked drop default;
comment on column load_campaign.opened is 'Mails delivered and opened at least once.';
comment on column load_campaign.clicked is 'Mails delivered, with at least one click.';
comment on column load_campaign.opened_and_clicked is 'Mails delivered, opened, and with at least one click.';
comment on column load_campaign.unsubscribed is 'Mails delivered after which the person unsubscribed: baja is SI.';

drop view campaign_summary;
create view campaign_summary as
select f.name as file_name, c.file_id, c.send_date, c.sent, c.hard_bounces, c.sent - c.hard_bounces as delivered, c.opened,
       c.clicked, c.unsubscribed,
       round((c.sent - c.hard_bounces)::numeric / nullif(c.sent, 0), 4) as delivery_rate,
       round(c.opened::numeric / nullif(c.sent - c.hard_bounces, 0), 4) as open_rate,
       round(c.clicked::numeric / nullif(c.sent - c.hard_bounces, 0), 4) as click_rate,
       round(c.opened_and_clicked::numeric / nullif(c.opened, 0), 4) as click_to_open_rate,
       round(c.unsubscribed::numeric / nullif(c.sent - c.hard_bounces, 0), 4) as unsubscribe_rate,
       (select round((percentile_cont(0.5) within group (order by extract(epoch from fecha_open - first_send) / 3600))::numeric, 2)
        from (select s.fecha_open, s.badmail, min(s.fecha_envio) over () as first_send
              from statistics s
              where s.file_id = c.file_id and s.fecha_envio >= c.send_date and s.fecha_envio < c.send_date + 1) line
        where fecha_open > first_send and badmail is distinct from 'HARD') as median_hours_to_open
from load_campaign c
join load_file f on f.id = c.file_id;
comment on view campaign_summary is 'Per file and send date: what was sent and what came of it. Every rate is a part of its whole, 0 to 1.';
comment on column campaign_summary.file_name is 'Name of the report.';
comment on column campaign_summary.file_id is 'The file, see load_file.id.';
comment on column campaign_summary.send_date is 'Day of fecha_envio.';
comment on column campaign_summary.sent is 'Mails sent: lines.';
comment on column campaign_summary.hard_bounces is 'Mails that bounced for good: badmail is HARD.';
comment on column campaign_summary.delivered is 'sent - hard_bounces.';
comment on column campaign_summary.opened is 'Mails delivered and opened at least once.';
comment on column campaign_summary.clicked is 'Mails delivered, with at least one click.';
comment on column campaign_summary.unsubscribed is 'Mails delivered after which the person unsubscribed: baja is SI.';
comment on column campaign_summary.delivery_rate is 'delivered / sent.';
comment on column campaign_summary.open_rate is 'opened / delivered.';
comment on column campaign_summary.click_rate is 'clicked / delivered.';
comment on column campaign_summary.click_to_open_rate is 'Mails opened and clicked / opened.';
comment on column campaign_summary.unsubscribe_rate is 'unsubscribed / delivered.';
comment on column campaign_summary.median_hours_to_open is 'Median hours from the first send of file and day to the opens after it, of mails delivered; NULL without any. Reads every line of the file: the other columns do not.';

create view report_fate as
select d.id as file_id, d.name, d.run_id, r.started_at as came_at, n.status, c.id as counted_id,
       coalesce(c.rows_read, 0) as rows_read, coalesce(c.rows_loaded, 0) as rows_loaded,
       coalesce(c.rows_rejected, 0) as rows_rejected, coalesce(c.visitors_new, 0) as visitors_new,
       coalesce(c.visitors_updated, 0) as visitors_updated
from load_file d
join load_run r on r.id = d.run_id
cross join lateral (  -- the last load of this delivery
    select l.id, l.sha256, l.status from load_file l
    where l.sha256 = d.sha256 and (l.id = d.id or l.reload_of = d.id)
    order by l.id desc limit 1
) n
left join load_file c on c.id = n.id and n.status <> 'duplicate' and not exists (
    select from load_file o where o.sha256 = n.sha256 and o.id > n.id and o.status <> 'duplicate'
)
where d.reload_of is null;
comment on view report_fate is 'One row per delivery of a report: what became of it by now. A reload is no delivery: the report counts where it came. Of the same bytes, only the last delivery that is no duplicate counts lines.';
comment on column report_fate.file_id is 'The delivery, see load_file.id.';
comment on column report_fate.name is 'Name of the report.';
comment on column report_fate.run_id is 'The run that took it.';
comment on column report_fate.came_at is 'When that run began.';
comment on column report_fate.status is 'As in load_file, of the last reload if there is one.';
comment on column report_fate.counted_id is 'The load whose lines count, see load_file.id; NULL for a duplicate, and if the same bytes came again and count there.';
comment on column report_fate.rows_read is 'Records of the load that counts; else 0.';
comment on column report_fate.rows_loaded is 'Records of it in statistics.';
comment on column report_fate.rows_rejected is 'Records of it that are not loaded.';
comment on column report_fate.visitors_new is 'Addresses that it brought for the first time.';
comment on column report_fate.visitors_updated is 'Addresses already known that it counted visits for.';

create view monthly_summary as
select month, m.sent, m.hard_bounces, m.sent - m.hard_bounces as delivered, m.opened, m.clicked, m.unsubscribed,
       round((m.sent - m.hard_bounces)::numeric / nullif(m.sent, 0), 4) as delivery_rate,
       round(m.opened::numeric / nullif(m.sent - m.hard_bounces, 0), 4) as open_rate,
       round(m.clicked::numeric / nullif(m.sent - m.hard_bounces, 0), 4) as click_rate,
       round(m.unsubscribed::numeric / nullif(m.sent - m.hard_bounces, 0), 4) as unsubscribe_rate,
       f.files, f.files_loaded, f.files_duplicate, f.files_refused, f.files_quarantined, f.files_undone,
       f.rows_read, f.rows_loaded, f.rows_rejected,
       round(f.rows_rejected::numeric / nullif(f.rows_read, 0), 4) as reject_rate,
       f.visitors_new, f.visitors_updated, n.nights, n.nights_failed
from (
    select date_trunc('month', send_date::timestamp)::date as month from load_campaign
    union
    select date_trunc('month', started_at)::date from load_run
) months
cross join lateral (
    select coalesce(sum(sent), 0)::bigint as sent, coalesce(sum(hard_bounces), 0)::bigint as hard_bounces,
           coalesce(sum(opened), 0)::bigint as opened, coalesce(sum(clicked), 0)::bigint as clicked,
           coalesce(sum(unsubscribed), 0)::bigint as unsubscribed
    from load_campaign
    where send_date >= month and send_date < month + interval '1 month'
) m
cross join lateral (
    select count(*) as files, count(*) filter (where status = 'loaded') as files_loaded,
           count(*) filter (where status = 'duplicate') as files_duplicate,
           count(*) filter (where status = 'refused') as files_refused,
           count(*) filter (where status = 'quarantined') as files_quarantined,
           count(*) filter (where status = 'undone') as files_undone,
           coalesce(sum(rows_read), 0)::bigint as rows_read, coalesce(sum(rows_loaded), 0)::bigint as rows_loaded,
           coalesce(sum(rows_rejected), 0)::bigint as rows_rejected,
           coalesce(sum(visitors_new), 0)::bigint as visitors_new,
           coalesce(sum(visitors_updated), 0)::bigint as visitors_updated
    from report_fate
    where came_at >= month and came_at < month + interval '1 month'
) f
cross join lateral (
    select count(*) as nights, count(*) filter (where status in ('failed', 'crashed')) as nights_failed
    from load_run
    where script = 'etl' and started_at >= month and started_at < month + interval '1 month'
) n;
comment on view monthly_summary is 'The monthly report in figures. A mail counts in the month in which it was sent, a report in the month in which it came, by the time zone of the session: set it to TIMEZONE.';
comment on column monthly_summary.month is 'First day of the month.';
comment on column monthly_summary.sent is 'Mails sent.';
comment on column monthly_summary.hard_bounces is 'Mails that bounced for good.';
comment on column monthly_summary.delivered is 'sent - hard_bounces.';
comment on column monthly_summary.opened is 'Mails delivered and opened at least once.';
comment on column monthly_summary.clicked is 'Mails delivered, with at least one click.';
comment on column monthly_summary.unsubscribed is 'Mails delivered after which the person unsubscribed.';
comment on column monthly_summary.delivery_rate is 'delivered / sent, 0 to 1.';
comment on column monthly_summary.open_rate is 'opened / delivered.';
comment on column monthly_summary.click_rate is 'clicked / delivered.';
comment on column monthly_summary.unsubscribe_rate is 'unsubscribed / delivered.';
comment on column monthly_summary.files is 'Reports that came; see report_fate.';
comment on column monthly_summary.files_loaded is 'Reports that are loaded by now.';
comment on column monthly_summary.files_duplicate is 'Reports with the bytes of a loaded one.';
comment on column monthly_summary.files_refused is 'Reports that are refused.';
comment on column monthly_summary.files_quarantined is 'Reports that are quarantined.';
comment on column monthly_summary.files_undone is 'Reports that were loaded, and are taken back.';
comment on column monthly_summary.rows_read is 'Lines of these reports, the same bytes once.';
comment on column monthly_summary.rows_loaded is 'Lines of them that are loaded by now.';
comment on column monthly_summary.rows_rejected is 'Lines of them that are not.';
comment on column monthly_summary.reject_rate is 'rows_rejected / rows_read, 0 to 1.';
comment on column monthly_summary.visitors_new is 'Addresses that these reports brought for the first time.';
comment on column monthly_summary.visitors_updated is 'Addresses already known that they counted visits for, report by report.';
comment on column monthly_summary.nights is 'Runs of etl.sh that began.';
comment on column monthly_summary.nights_failed is 'Runs of etl.sh that failed or crashed.';

create view visitor_activity as
select s.email, v.fecha_primera_visita, v.fecha_ultima_visita, coalesce(v.visitas_totales, 0) as visitas_totales,
       s.sent, s.delivered, s.opened, s.clicked, s.unsubscribed, s.last_sent, s.last_opened, s.last_clicked
from (
    select email, count(*) as sent, count(*) filter (where badmail is distinct from 'HARD') as delivered,
           count(fecha_open) filter (where badmail is distinct from 'HARD') as opened,
           count(fecha_click) filter (where badmail is distinct from 'HARD') as clicked,
           count(*) filter (where baja = 'SI' and badmail is distinct from 'HARD') as unsubscribed,
           max(fecha_envio) as last_sent, max(fecha_open) as last_opened, max(fecha_click) as last_clicked
    from statistics
    group by email
) s
left join visitor v on v.email = s.email;
comment on view visitor_activity is 'One row per address in statistics: its visits, and what became of its mails. Ask for some addresses, or have it read every line.';
comment on column visitor_activity.email is 'Normalized address in lower case.';
comment on column visitor_activity.fecha_primera_visita is 'Earliest visit; NULL without one.';
comment on column visitor_activity.fecha_ultima_visita is 'Latest visit; NULL without one.';
comment on column visitor_activity.visitas_totales is 'Number of visits.';
comment on column visitor_activity.sent is 'Mails sent to the address.';
comment on column visitor_activity.delivered is 'Those that did not bounce for good.';
comment on column visitor_activity.opened is 'Mails delivered and opened at least once.';
comment on column visitor_activity.clicked is 'Mails delivered, with at least one click.';
comment on column visitor_activity.unsubscribed is 'Mails delivered after which the person unsubscribed.';
comment on column visitor_activity.last_sent is 'When the last mail was sent.';
comment on column visitor_activity.last_opened is 'Latest open; NULL without one.';
comment on column visitor_activity.last_clicked is 'Latest click; NULL without one.';

drop view rejects_by_code;
create view rejects_by_code as
select code, sum(lines)::bigint as lines, count(*) as files, min(f.loaded_at) as first_seen_at, max(f.loaded_at) as last_seen_at
from report_fate r
join load_reject j on j.file_id = r.counted_id
join load_file f on f.id = r.counted_id
group by code;
comment on view rejects_by_code is 'How often each reject code occurs, the same bytes once. A line with two codes counts under both.';
comment on column rejects_by_code.code is 'Reject code; the README lists them.';
comment on column rejects_by_code.lines is 'Rejected lines with this code.';
comment on column rejects_by_code.files is 'Files with such a line.';
comment on column rejects_by_code.first_seen_at is 'When a file with such a line was first loaded.';
comment on column rejects_by_code.last_seen_at is 'When a file with such a line was last loaded.';

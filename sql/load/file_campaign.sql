-- Count what became of file file_id's mails, by day of sending. Reads statistics, writes load_campaign.
-- Not to be repeated: it runs in the transaction that inserts the lines, after the last of them.
insert into load_campaign (send_date, file_id, sent, hard_bounces, opened, clicked, unsubscribed)
select fecha_envio::date, file_id, count(*), count(*) filter (where badmail = 'HARD'), count(fecha_open), count(fecha_click),
       count(*) filter (where baja = 'SI')
from statistics
where file_id = %(file_id)s
group by fecha_envio::date, file_id;

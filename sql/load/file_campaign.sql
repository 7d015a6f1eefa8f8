-- Count what became of file file_id's mails, by day of sending; a mail that bounced for good was not delivered.
-- Reads statistics, writes load_campaign. Not to be repeated: it runs in the transaction that inserts the lines, after the last of them.
insert into load_campaign (send_date, file_id, sent, hard_bounces, opened, clicked, opened_and_clicked, unsubscribed)
select fecha_envio::date, file_id, count(*), count(*) filter (where badmail = 'HARD'),
       count(fecha_open) filter (where badmail is distinct from 'HARD'),
       count(fecha_click) filter (where badmail is distinct from 'HARD'),
       count(*) filter (where fecha_open is not null and fecha_click is not null and badmail is distinct from 'HARD'),
       count(*) filter (where baja = 'SI' and badmail is distinct from 'HARD')
from statistics
where file_id = %(file_id)s
group by fecha_envio::date, file_id;

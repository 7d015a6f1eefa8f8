-- Enter the sums of the night's mails, worked out by Spark. Writes load_campaign.
-- Not to be repeated: it runs in the transaction of the night's files.
insert into load_campaign (send_date, file_id, sent, hard_bounces, opened, clicked, opened_and_clicked, unsubscribed)
select * from unnest(%(send_date)s::date[], %(file_id)s::integer[], %(sent)s::integer[], %(hard_bounces)s::integer[],
                     %(opened)s::integer[], %(clicked)s::integer[], %(opened_and_clicked)s::integer[],
                     %(unsubscribed)s::integer[]);

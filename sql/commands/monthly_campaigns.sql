-- What became of the mails, for each day from first up to end on which some were sent. Reads campaign_summary.
select send_date, sum(sent)::bigint, sum(hard_bounces)::bigint, sum(delivered)::bigint, sum(opened)::bigint, sum(clicked)::bigint,
       sum(unsubscribed)::bigint
from campaign_summary
where send_date >= %(first)s::date and send_date < %(end)s::date
group by send_date
order by send_date;

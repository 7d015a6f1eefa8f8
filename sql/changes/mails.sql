-- What became of the mails, by month of sending. Reads load_campaign.
select to_char(send_date, 'YYYY-MM'), sum(sent)::bigint, sum(hard_bounces)::bigint, sum(opened)::bigint, sum(clicked)::bigint,
       sum(unsubscribed)::bigint
from load_campaign
group by 1
order by 1;

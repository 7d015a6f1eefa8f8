-- What became of the mails sent on the days from first up to end, whenever their reports came. Reads load_campaign.
select coalesce(sum(sent), 0)::bigint, coalesce(sum(hard_bounces), 0)::bigint, coalesce(sum(opened), 0)::bigint,
       coalesce(sum(clicked), 0)::bigint, coalesce(sum(unsubscribed), 0)::bigint
from load_campaign
where send_date >= %(first)s and send_date < %(end)s;

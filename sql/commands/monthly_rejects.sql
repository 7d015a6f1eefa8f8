-- Reject codes of the reports of the days from first up to end, the most frequent first. A line with two codes counts
-- under both. Reads load_run, load_file and load_reject.
select code, sum(lines)::bigint
from load_run r
join load_file f on f.run_id = r.id
join load_reject on file_id = f.id
where r.started_at >= %(first)s::timestamp at time zone %(timezone)s
  and r.started_at < %(end)s::timestamp at time zone %(timezone)s
group by code
order by 2 desc, 1;

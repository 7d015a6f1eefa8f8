-- The zips that were read back and compared on the days from first up to end, and for a pruned one its size, if known.
-- Reads load_zip.
select name, pruned_at is not null, coalesce(bytes, 0)
from load_zip
where proved_at >= %(first)s::timestamp at time zone %(timezone)s
  and proved_at < %(end)s::timestamp at time zone %(timezone)s
order by 1;

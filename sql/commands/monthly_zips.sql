-- The zips that were read back and compared from first up to end; bytes are null if not known. Reads load_zip.
select proved_at::date, name, files, bytes, pruned_at is not null
from load_zip
where proved_at >= %(first)s::date and proved_at < %(end)s::date
order by name;

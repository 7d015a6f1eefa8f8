-- Every zip, in order of time: what its bytes are, whether it was proved, and whether it is pruned. Reads load_zip.
select name, sha256, bytes, proved_at is not null, pruned_at is not null
from load_zip
order by name;

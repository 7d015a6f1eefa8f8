-- The files with these bytes, as (id, name, sha256, status); duplicates have no lines. Reads load_file.
select id, name, sha256, status
from load_file
where sha256 = any(%(sha256s)s) and status <> 'duplicate'
order by id;

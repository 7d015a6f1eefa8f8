-- The reports whose zips may hold lines that statistics and errors do not, as (sha256, name, archive_name): what could be reloaded,
-- and what was corrected. Reads load_file, load_zip and load_replay.
select distinct on (f.sha256) f.sha256, f.name, f.archive_name
from load_file f
join load_zip z on z.name = f.archive_name
where f.archived_at is not null and z.pruned_at is null
  and (f.status in ('undone', 'quarantined', 'refused')
           and not exists (select from load_file o where o.sha256 = f.sha256 and o.status = 'loaded')
       or f.status = 'loaded' and exists (select from load_replay r where r.file_id = f.id))
order by f.sha256, f.id;

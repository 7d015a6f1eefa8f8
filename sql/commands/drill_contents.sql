-- Row count and checksum of visitor and, file by file, of statistics, whatever the file ids. A file whose zip is pruned is left out.
-- Reads both, load_file and load_zip.
select 'visitor', count(*), coalesce(sum(hashtextextended(v::text, 0)), 0)
from visitor v
union all
select f.name || ' ' || f.sha256, count(s.file_id),
       coalesce(sum(hashtextextended((to_jsonb(s) - 'file_id')::text, 0)) filter (where s.file_id is not null), 0)
from load_file f
left join statistics s on s.file_id = f.id
where f.status = 'loaded'
  and not exists (select from load_zip z where z.name = f.archive_name and z.pruned_at is not null)
group by f.id;

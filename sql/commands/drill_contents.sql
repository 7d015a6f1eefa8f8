-- Row count and checksum of visitor and, file by file, of statistics, whatever the file ids. Reads both and load_file.
select 'visitor', count(*), coalesce(sum(hashtextextended(v::text, 0)), 0)
from visitor v
union all
select f.name || ' ' || f.sha256, count(s.file_id),
       coalesce(sum(hashtextextended((to_jsonb(s) - 'file_id')::text, 0)) filter (where s.file_id is not null), 0)
from load_file f
left join statistics s on s.file_id = f.id
where f.status = 'loaded'
group by f.id;

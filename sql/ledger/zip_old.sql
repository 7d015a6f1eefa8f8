-- The zips that were proved more than days days ago and are not pruned, the oldest first. Reads load_zip and load_file.
-- A zip is held back while one of its reports is not archived, or perhaps still on the server.
select name, files,
       exists (select from load_file f
               where f.archive_name = z.name and (f.archived_at is null or f.source_deleted_at is null)) as is_held
from load_zip z
where proved_at < now() - make_interval(days => %(days)s) and pruned_at is null
order by proved_at, name;

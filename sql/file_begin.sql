-- Give the report that is about to be loaded its file id and say what is known of it. Reads load_file.
-- Sets visitas.file_id, the default of statistics.file_id and errors.file_id, for this transaction.
-- The ids have no gaps: load_lock keeps other loads out, and a transaction that fails takes its id with it.
select set_config('visitas.file_id', (select coalesce(max(id), 0) + 1 from load_file)::text, true)::integer as file_id,
       exists (select from load_file
               where name = %(name)s and sha256 = %(sha256)s and source_mtime = to_timestamp(%(mtime)s)
                 and source_deleted_at is null) as known,
       exists (select from load_file where sha256 = %(sha256)s and status = 'loaded') as loaded,
       exists (select from load_file where name = %(name)s and sha256 <> %(sha256)s) as name_reused;

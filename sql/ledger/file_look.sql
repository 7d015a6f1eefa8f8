-- Say what is known of the report that is about to be loaded, and what the counters mean. Reads load_file,
-- load_erased and visitor_basis.
select exists (select from load_file
               where name = %(name)s and sha256 = %(sha256)s and source_mtime = to_timestamp(%(mtime)s)
                 and source_deleted_at is null) as known,
       exists (select from load_file where sha256 = %(sha256)s and status = 'loaded') as loaded,
       exists (select from load_file where name = %(name)s and sha256 <> %(sha256)s) as name_reused,
       array(select id from load_file where name = %(name)s and sha256 <> %(sha256)s and status = 'loaded' order by id) as earlier,
       array(select line_number from load_erased where sha256 = %(sha256)s) as erased,
       (select as_of from visitor_basis), (select visit_event from visitor_basis);

-- Everything that happened to reports named name, in time order; with the run where the load log keeps it.
-- Reads load_file, load_change, load_zip, load_gap and errors.
with delivery as (  -- as it was decided, without later changes
    select f.*, coalesce(c.status, f.status) as fate, coalesce(c.rows_read, f.rows_read) as was_read,
           coalesce(c.rows_loaded, f.rows_loaded) as was_loaded, coalesce(c.rows_rejected, f.rows_rejected) as was_rejected
    from load_file f
    left join lateral (select * from load_change where file_id = f.id and status is not null order by id limit 1) c on true
    where name = %(name)s
)
select happened_at at time zone %(timezone)s, run_id, what
from (
    select noticed_at, run_id, 'missing in the consecutive numbers', 0, 0
    from load_gap
    where name = %(name)s
    union all
    select first_seen_at, null,
           'pulled: ' || bytes || ' bytes, sha256 ' || left(sha256, 12) || ', time on the server '
               || to_char(source_mtime at time zone %(timezone)s, 'YYYY-MM-DD HH24:MI:SS'), id, 1
    from delivery
    where reload_of is null
    union all
    select loaded_at, run_id,
           fate || ': ' || was_read || ' lines read, ' || was_loaded || ' loaded, ' || was_rejected || ' rejected'
               || case status when 'undone' then ''
                              else ', ' || visitors_new || ' visitors new, ' || visitors_updated || ' updated' end
               || case when name_reused then '; the name was known with another content' else '' end
               || case when reload_of is not null then '; from its zip, as ID ' || id else '' end
               || case fate
                      when 'duplicate' then coalesce((select '; same bytes as ' || o.name || ', loaded '
                                                             || to_char(o.loaded_at at time zone %(timezone)s, 'YYYY-MM-DD')
                                                      from load_file o where o.sha256 = d.sha256 and o.status = 'loaded'), '')
                      when 'loaded' then ''
                      else coalesce((select '; ' || e.message from errors e where e.file_id = d.id and e.line_number = 1), '')
                  end, id, 2
    from delivery d
    union all
    select archived_at, null, 'archived: ' || archive_name, id, 3
    from delivery
    where archived_at is not null and reload_of is null
    union all
    select source_deleted_at, null, 'gone from the server', id, 4
    from delivery
    where source_deleted_at is not null and reload_of is null
    union all
    select raw_pruned_at, null, 'rejected lines as received are no longer kept', id, 5
    from delivery
    where raw_pruned_at is not null and rows_rejected > 0
    union all
    select z.pruned_at, null, 'pruned: ' || z.name, id, 6
    from delivery
    join load_zip z on z.name = archive_name
    where z.pruned_at is not null and reload_of is null
    union all
    select changed_at, null, c.what || ' of ID ' || file_id || ' by ' || changed_by || ': ' || lines || case lines when 1 then ' line' else ' lines' end, file_id, 7
    from delivery
    join load_change c on c.file_id = delivery.id
) as event (happened_at, run_id, what, file_id, step)
order by happened_at, file_id, step;

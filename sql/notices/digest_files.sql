-- What became of each report in one run. Reads load_file.
select name, status, rows_read, rows_loaded, rows_rejected, visitors_new, visitors_updated,
       case when archived_at is not null then archive_name end
from load_file
where run_id = %(run_id)s
order by id;

-- Say which file the rows copied from here on belong to.
-- Sets visitas.file_id, the default of statistics.file_id and errors.file_id, for this transaction.
select set_config('visitas.file_id', (%(file_id)s)::text, true);

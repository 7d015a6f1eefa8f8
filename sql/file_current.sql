-- Say which file the rows copied from here on belong to, in this transaction.
select set_config('visitas.file_id', %(file_id)s::text, true);

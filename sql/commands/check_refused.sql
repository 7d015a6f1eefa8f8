-- What Postgres said of the good line that it refused; no row if it took the line. Reads errors.
select message from errors where file_id = %(file_id)s and codes = array['load-refused'];

-- Reserve count file ids, in order. Not transactional: those of a file that fails are not given again.
select nextval(pg_get_serial_sequence('load_file', 'id'))::integer from generate_series(1, %(count)s);

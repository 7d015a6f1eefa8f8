-- Look for tables and functions in this schema and in PostgreSQL's own, nowhere else. For this session; writes nothing.
select set_config('search_path', format('%%I, pg_temp', %(schema)s::text), false);

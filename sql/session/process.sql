-- The server process that this statement runs in.
select pg_backend_pid();

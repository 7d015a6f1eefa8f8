-- Whether the server is a standby, and whether this session may only read. Reads settings.
select pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean;

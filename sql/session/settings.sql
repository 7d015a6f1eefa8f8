-- Set what this program relies on, whatever the role or the database sets. For this session; writes nothing. Safe to repeat.
-- Passed over is what the server does not have: transaction_timeout came with PostgreSQL 17, and Windows has no connection check.
-- What keeps lines of reports out of the server's log, only a superuser may set: for other roles, roles.sql does.
select set_config(name, wanted, false)
from (values
    ('DateStyle', 'ISO'),
    ('IntervalStyle', 'postgres'),
    ('client_connection_check_interval', '10s'),  -- the server notices within seconds that a killed run is gone
    ('default_transaction_isolation', 'read committed'),  -- a load that has waited for another sees what that one did
    ('default_transaction_deferrable', 'off'),
    ('lock_timeout', '60s'),  -- nobody waits for a lock for ever
    ('statement_timeout', '0'),  -- a large report takes as long as it takes; the program has limits of its own
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),  -- the run lock lives in a session that does nothing
    ('row_security', 'off'),  -- a policy that hides rows is an error, not a wrong count
    ('log_error_verbosity', case current_setting('is_superuser') when 'on' then 'terse' end),  -- no row, no key, no line of COPY
    ('log_min_error_statement', case current_setting('is_superuser') when 'on' then 'panic' end),  -- no statement with its values
    ('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on' end)  -- a report is deleted once it is committed
) as relied_on (name, wanted)
join pg_settings using (name)
where wanted is not null and not (name = 'client_connection_check_interval' and version() ~* 'windows|mingw|visual c');

-- The day of the first run, or null before it. Reads load_run.
select (min(started_at) at time zone %(timezone)s)::date from load_run;

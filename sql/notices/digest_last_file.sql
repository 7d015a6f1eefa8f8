-- Days since the last report came, or since the first run if none ever did. Reads load_file and load_run.
select extract(epoch from now() - coalesce((select max(first_seen_at) from load_file), (select min(started_at) from load_run))) / 86400;

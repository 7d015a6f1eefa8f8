-- How many lines the lake should have. Reads load_file.
select coalesce(sum(rows_loaded), 0)::bigint from load_file where status = 'loaded';

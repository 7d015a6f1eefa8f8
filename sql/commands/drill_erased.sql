-- The lines of people who were forgotten, as (sha256, line_number). Reads load_erased.
select sha256, line_number from load_erased;

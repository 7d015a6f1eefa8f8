-- Have every load pass over these lines from now on; return those that are new, as (sha256, line_number). Writes load_erased.
-- Safe to repeat.
insert into load_erased
select * from unnest(%(sha256s)s::text[], %(line_numbers)s::integer[])
on conflict do nothing
returning sha256, line_number;

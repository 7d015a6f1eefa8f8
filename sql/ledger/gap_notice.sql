-- Enter the reports missing between the numbers that came: 7, 9: where is 8? Returns those not noticed before.
-- Those in left are on the server and left for the next run: they are not missing.
-- Reads load_file, writes load_gap. Safe to repeat. A jump of more than 1000 is a new numbering, not a gap.
with numbered as (
    select distinct coalesce(part[1], '') as head, part[2] as digits, part[2]::bigint as number, part[3] as tail
    from load_file, regexp_match(name, '^(.*[^0-9])?([0-9]{1,15})([^0-9]*)$') as part
    where part is not null
), neighbours as (
    select head, digits, number, tail, lead(number) over (partition by head, tail order by number) as next_number
    from numbered
)
insert into load_gap (name, run_id)
select distinct name, %(run_id)s
from neighbours, generate_series(number + 1, next_number - 1) as missing,
     lateral (select head || lpad(missing::text, greatest(length(missing::text), length(digits)), '0') || tail as name) as named
where next_number - number <= 1000 and name <> all(%(left)s::text[])
on conflict (name) do nothing
returning name;

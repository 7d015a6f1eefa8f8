-- Enter the reports missing between the numbers that came: 7, 9: where is 8? Returns those not noticed before, and whether
-- each is a range. Those in left are on the server and left for the next run: they are not missing.
-- Reads load_file, writes load_gap. Safe to repeat. A jump of more than 1000 is a new numbering, not a gap.
-- The first 1000 are entered by name. What is beyond is a range, "report_8.txt to report_99.txt", one for each numbering,
-- and 900 of these at the most: so a night enters fewer than 2000, however files are numbered.
with numbered as (
    select distinct coalesce(part[1], '') as head, part[2] as digits, part[2]::bigint as number, part[3] as tail
    from load_file, regexp_match(name, '^(.*[^0-9])?([0-9]{1,15})([^0-9]*)$') as part
    where part is not null
), neighbours as (
    select head, digits, number, tail, lead(number) over (partition by head, tail order by number) as next_number
    from numbered
), ranges as (
    select coalesce(part[1], '') as head, part[2]::bigint as first, part[5]::bigint as last, part[3] as tail
    from load_gap, regexp_match(name, '^(.*[^0-9])?([0-9]{1,15})([^0-9]*) to (.*[^0-9])?([0-9]{1,15})([^0-9]*)$') as part
    where part[1] is not distinct from part[4] and part[3] = part[6]
), missing as (
    select distinct on (head, tail, number) head, tail, missing as number, name
    from neighbours, generate_series(number + 1, next_number - 1) as missing,
         lateral (select head || lpad(missing::text, greatest(length(missing::text), length(digits)), '0') || tail as name) as named
    where next_number - number <= 1000
      and name <> all(%(left)s::text[])
      and not exists (select from load_gap known where known.name = named.name)
      and not exists (select from ranges r where (r.head, r.tail) = (neighbours.head, neighbours.tail)
                                             and missing between r.first and r.last)
), counted as (
    select head, tail, number, name, row_number() over (order by head, tail, number) as place
    from missing
), found as (
    select name, false as is_range
    from counted
    where place <= 1000
    union all
    (select min(name) filter (where number = first)
                || case when min(first) < max(last) then ' to ' || min(name) filter (where number = last) else '' end, true
     from (select *, min(number) over numbering as first, max(number) over numbering as last
           from counted where place > 1000 window numbering as (partition by head, tail)) as beyond
     group by head, tail
     order by head, tail
     limit 900)
), entered as (
    insert into load_gap (name, run_id)
    select distinct name, %(run_id)s from found
    on conflict (name) do nothing
    returning name
)
select distinct name, is_range from entered join found using (name);

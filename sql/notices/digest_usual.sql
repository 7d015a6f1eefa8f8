-- The median of the lines read in each of the last fourteen runs with new reports before this one; null after fewer than three.
-- Reads load_file.
with nights as (
    select sum(rows_read) as lines
    from load_file
    where run_id <> %(run_id)s and status <> 'duplicate'
    group by run_id
    order by max(id) desc
    limit 14
)
select case when count(*) >= 3 then percentile_cont(0.5) within group (order by lines) end from nights;

-- Reject codes of one run, the most frequent first, each with its three worst reports. Reads load_file and errors.
with counted as (
    select code, f.name, count(*) as lines
    from load_file f
    join errors e on e.file_id = f.id
    cross join unnest(e.codes) as code
    where f.run_id = %(run_id)s
    group by code, f.id
)
select code, sum(lines)::bigint,
       (array_agg(format('%%s (%%s)', name, lines) order by lines desc, name))[:3]
from counted
group by code
order by 2 desc, code;

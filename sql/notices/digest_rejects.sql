-- Reject codes of one run, the most frequent first, each with its three worst reports. Reads load_file and load_reject.
select code, sum(lines)::bigint,
       (array_agg(format('%%s (%%s)', name, lines) order by lines desc, name))[:3]
from load_file f
join load_reject r on r.file_id = f.id
where f.run_id = %(run_id)s
group by code
order by 2 desc, code;

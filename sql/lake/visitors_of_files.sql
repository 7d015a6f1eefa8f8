-- How many visitors each of tonight's files brings, and how many it finds. Of two files with a new address the first brings it.
select file_id, count_if(is_new), count_if(not is_new)
from (select v.file_id, b.email is null and v.file_id = min(v.file_id) over (partition by v.email) as is_new
      from visits v
      left join before b on b.email = v.email)
group by file_id;

-- The last proved zip, when it was proved, and how many reports it holds. Reads load_file.
select archive_name, max(archived_at) at time zone %(timezone)s, count(*)
from load_file
where archive_name = (select archive_name from load_file where archived_at is not null order by id desc limit 1)
  and archived_at is not null
group by archive_name;

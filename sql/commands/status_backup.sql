-- The last zip that was read back and compared, when that was, whether it is pruned, and how many zips are. Reads load_zip.
select name, proved_at at time zone %(timezone)s, pruned_at is not null,
       (select count(*) from load_zip where pruned_at is not null)
from load_zip
where proved_at is not null
order by proved_at desc, name desc
limit 1;

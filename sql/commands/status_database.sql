-- Size of the database, and by how many bytes it grew a night over the last nights that say so; null after one only.
-- Reads load_run.
with night as (
    select started_at, database_bytes
    from load_run
    where script = 'etl' and database_bytes is not null
    order by started_at desc
    limit %(nights)s
)
select pg_database_size(current_database()),
       ((array_agg(database_bytes order by started_at desc))[1] - (array_agg(database_bytes order by started_at))[1])
           / nullif(count(*) - 1, 0)
from night;

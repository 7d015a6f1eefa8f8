-- The scratch databases of killed drills, of those that this role may drop: nobody holds their lock, be it in another database.
-- Reads pg_database and pg_locks, writes nothing.
select datname
from pg_database
where datname ~ '^visitas_drill_[0-9a-f]+$' and pg_has_role(datdba, 'usage')
  and ('x' || left(md5('visitas-etl drill ' || datname), 16))::bit(64)::bigint not in (
    select classid::bigint << 32 | objid::bigint from pg_locks where locktype = 'advisory' and granted and objsubid = 1);

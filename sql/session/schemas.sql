-- The schemas that hold this program's tables, and the schema in which new tables would be made. Reads the catalogue.
-- As (name, holds the tables, may be used by this role, is open to new objects of everybody).
select nspname, holds_tables, has_schema_privilege(n.oid, 'USAGE'),
       exists (select from aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as acl
               where acl.grantee = 0 and acl.privilege_type = 'CREATE')
from pg_namespace n,
     lateral (select count(*) = 2 from pg_class
              where relnamespace = n.oid and relname in ('load_file', 'visitor_basis') and relkind in ('r', 'p')) as t (holds_tables)
where holds_tables or nspname = current_schema()
order by nspname;

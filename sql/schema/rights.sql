-- The current role, the schema in which it makes tables, whether it may, and who owns our tables if this role does not. Reads the
-- catalogue.
select quote_ident(current_user), quote_ident(current_schema()), has_schema_privilege(current_schema(), 'CREATE'),
       (select relowner::regrole::text from pg_class where oid = to_regclass('load_run') and not pg_has_role(relowner, 'USAGE'));

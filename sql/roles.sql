-- The roles of least rights: the owner of the tables, who runs make postgres-setup; the night; a reader, for people.
-- The administrator runs this on the database of the night, before and after make postgres-setup, and after each upgrade:
--     psql -d visitas -v owner=visitas_owner -v night=visitas_night -v reader=visitas_reader -f sql/roles.sql
-- It makes the roles that are not there. They may log in but have no password: \password visitas_night sets one.
-- It makes the schema visitas for the tables. Tables that are in another schema stay there. All is done, or nothing. Safe to repeat.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?owner} \else \set owner visitas_owner \endif
\if :{?night} \else \set night visitas_night \endif
\if :{?reader} \else \set reader visitas_reader \endif
begin;

select format('create role %I login', name)
from unnest(array[:'owner', :'night', :'reader']) as name
where not exists (select from pg_roles where rolname = name)
\gexec
-- An administrator who is no superuser acts for the owner.
select format('grant %I to %I', :'owner', current_user) where not pg_has_role(:'owner', 'USAGE')
\gexec

-- Where our tables are, or shall be, and whose they are.
select coalesce(max(nspname), 'visitas') as schema, coalesce(max(pg_get_userbyid(relowner)), :'owner') as found_owner,
       count(*) > 0 as has_tables
from pg_class c join pg_namespace n on n.oid = relnamespace
where relname = 'load_run' and relkind = 'r'
\gset
select format('do $do$ begin raise exception using message = %L, hint = %L; end $do$', 'the tables belong to ' || :'found_owner',
              format('name that role: -v owner=''%s''', :'found_owner'))
where :'found_owner' <> :'owner'
\gexec
select format('create schema %I authorization %I', :'schema', :'owner') where to_regnamespace(quote_ident(:'schema')) is null
\gexec

-- Whoever may create in the schema of the tables can put functions in the way of ours.
revoke create on schema :"schema" from public;
grant connect on database :"DBNAME" to :"owner", :"night", :"reader";
grant usage on schema :"schema" to :"owner", :"night", :"reader";
grant create on schema :"schema" to :"owner";
alter role :"owner" in database :"DBNAME" set search_path = :"schema";
alter role :"night" in database :"DBNAME" set search_path = :"schema";
alter role :"reader" in database :"DBNAME" set search_path = :"schema";

-- Lines of reports stay out of the server's log. Only a superuser may set that: see "The server's log" in sql/README.md.
select format('alter role %I in database %I set %s', name, current_database(), setting)
from unnest(array[:'owner', :'night', :'reader']) as name,
     unnest(array['log_error_verbosity = terse', 'log_min_error_statement = panic']) as setting
where (select rolsuper from pg_roles where rolname = current_user)
\gexec

-- People may read everything, also what a later migration makes.
grant select on all tables in schema :"schema" to :"reader";
alter default privileges for role :"owner" in schema :"schema" grant select on tables to :"reader";

-- The night, and what people change under its name, reads and adds; it changes and deletes only where it must. What a later migration makes is granted by the next call.
select format('grant %s on %I.%I to %I', rights, :'schema', name, :'night')
from (values ('visitor', 'select, insert, update, delete'),
             ('visitor_basis', 'select, insert, update'),
             ('statistics', 'select, insert, update, delete'),
             ('load_file', 'select, insert, update'),
             ('load_run', 'select, insert, update'),
             ('errors', 'select, insert, update, delete'),
             ('load_campaign', 'select, insert, delete'),
             ('load_reject', 'select, insert, delete'),
             ('load_gap', 'select, insert'),
             ('load_migration', 'select'),
             ('load_zip', 'select, insert, update'),
             ('load_change', 'select, insert'),
             ('load_replay', 'select, insert'),
             ('load_erased', 'select, insert'),
             ('lake_night', 'select, insert, update'),
             ('load_file_id_seq', 'usage')) as wanted (name, rights)
where to_regclass(format('%I.%I', :'schema', name)) is not null
\gexec
commit;

\if :has_tables
    \echo The roles may do what they need.
\else
    \echo Now run make postgres-setup as the owner. Then run this again: it grants the rights on the tables.
\endif

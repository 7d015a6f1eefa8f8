-- Hide our tables of lines behind empty temporary ones, until this session ends. Writes no table of ours.
-- Not to be repeated in one session.
create temporary table statistics (like statistics);
create temporary table errors (like errors);
create temporary table visitor (like visitor);
select set_config('search_path', format('pg_temp, %I', current_schema()), false);

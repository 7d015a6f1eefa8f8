-- Take rows of the lake. Writes the temporary table visitor that commands/lake_tables has made.
copy pg_temp.visitor from stdin (format csv);

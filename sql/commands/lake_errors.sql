-- Take rows of the lake. Writes the temporary table errors that commands/lake_tables has made.
copy pg_temp.errors from stdin (format csv);

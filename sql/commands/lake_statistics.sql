-- Take rows of the lake. Writes the temporary table statistics that commands/lake_tables has made.
copy pg_temp.statistics from stdin (format csv);

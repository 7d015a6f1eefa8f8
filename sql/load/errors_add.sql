-- Keep one line that Postgres refused. Writes errors, for the file that load/file_current named.
insert into errors (line_number, codes, message, raw_line) values (%s, %s, %s, %s);

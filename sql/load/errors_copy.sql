-- Take staged rejects as they come. Writes errors, for the file that load/file_current named.
copy errors (line_number, codes, message, raw_line) from stdin (format csv);

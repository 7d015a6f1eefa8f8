-- The rejected lines of the file that load/file_current named, for people to correct. Reads errors.
copy (
    select file_id, line_number, array_to_string(codes, ' ') as codes, message, raw_line
    from errors
    where file_id = current_setting('visitas.file_id')::integer
    order by line_number
) to stdout (format csv, header, force_quote (raw_line));

-- Every rejected line, for the lake; its codes between commas. Reads errors.
copy (
    select file_id, line_number, array_to_string(codes, ','), message, raw_line from errors
) to stdout (format csv);

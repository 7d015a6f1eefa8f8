-- Every valid line, for the lake. Reads statistics.
copy (
    select file_id, line_number, email, jyv, badmail, baja, fecha_envio, fecha_open, opens, opens_virales, fecha_click, clicks,
           clicks_virales, links, ips, navegadores, plataformas
    from statistics
) to stdout (format csv);

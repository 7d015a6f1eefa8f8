-- The lines of the files whose zips are pruned; the file ids are negative, so that they meet no id of a scratch database.
-- Reads statistics, load_file and load_zip.
copy (
    select -s.file_id, s.line_number, s.email, s.jyv, s.badmail, s.baja, s.fecha_envio, s.fecha_open, s.opens, s.opens_virales,
           s.fecha_click, s.clicks, s.clicks_virales, s.links, s.ips, s.navegadores, s.plataformas
    from statistics s
    join load_file f on f.id = s.file_id
    join load_zip z on z.name = f.archive_name
    where z.pruned_at is not null
) to stdout;

-- Row count and checksum of visitor and, file by file, of statistics, whatever the file ids. A file whose zip is pruned is left out.
-- Our columns by name: an administrator may have added others. Reads both, load_file and load_zip.
select 'visitor', count(*), coalesce(sum(hashtextextended(row (email, fecha_primera_visita, fecha_ultima_visita, visitas_totales,
                                                              visitas_anio_actual, visitas_mes_actual)::text, 0)), 0)
from visitor
union all
select f.name || ' ' || f.sha256, count(s.file_id),
       coalesce(sum(hashtextextended(row (line_number, email, jyv, badmail, baja, fecha_envio, fecha_open, opens, opens_virales,
                                          fecha_click, clicks, clicks_virales, links, ips, navegadores, plataformas)::text, 0))
                filter (where s.file_id is not null), 0)
from load_file f
left join statistics s on s.file_id = f.id
where f.status = 'loaded'
  and not exists (select from load_zip z where z.name = f.archive_name and z.pruned_at is not null)
group by f.id;

-- Take staged lines as they come. Writes statistics, for the file that load/file_current named.
copy statistics (email, jyv, badmail, baja, fecha_envio, fecha_open, opens, opens_virales, fecha_click, clicks,
                 clicks_virales, links, ips, navegadores, plataformas, line_number)
from stdin (format csv);

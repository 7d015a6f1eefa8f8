-- Take the lines that commands/drill_pruned gave, in the scratch database of a restore drill. Writes statistics.
-- Not to be repeated: the key refuses it.
copy statistics (file_id, line_number, email, jyv, badmail, baja, fecha_envio, fecha_open, opens, opens_virales, fecha_click,
                 clicks, clicks_virales, links, ips, navegadores, plataformas)
from stdin;

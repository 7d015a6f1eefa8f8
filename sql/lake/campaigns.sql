-- Count what became of the mails of tonight's files, by day of sending; a mail that bounced for good was not delivered.
-- Reads the view lines.
select cast(fecha_envio as date), file_id, count(*), count_if(not delivered), count_if(delivered and fecha_open is not null),
       count_if(delivered and fecha_click is not null),
       count_if(delivered and fecha_open is not null and fecha_click is not null), count_if(delivered and baja = 'SI')
from (select *, not badmail <=> 'HARD' as delivered from lines)
group by cast(fecha_envio as date), file_id;

-- How many addresses have a visit in file file_id. Reads statistics.
select count(distinct email)
from statistics
where file_id = %(file_id)s and visit_date(%(visit_event)s, fecha_envio, fecha_open, fecha_click) is not null;

-- Sum up the visits in the view lines, by file and address: what counts as a visit is visit_event, what is now as_of.
select file_id, email, min(visit) as primera, max(visit) as ultima, count(*) as totales,
       count_if(year(visit) = year(:as_of)) as anio,
       count_if(year(visit) = year(:as_of) and month(visit) = month(:as_of)) as mes
from (select file_id, email,
             case :visit_event when 'envio' then fecha_envio when 'open' then fecha_open else fecha_click end as visit
      from lines)
where visit is not null
group by file_id, email;

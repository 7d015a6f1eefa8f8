-- The visitors after tonight: the view before holds them as they were, the view visits what tonight's files bring.
select coalesce(b.email, v.email) as email,
       least(b.fecha_primera_visita, v.primera) as fecha_primera_visita,
       greatest(b.fecha_ultima_visita, v.ultima) as fecha_ultima_visita,
       cast(coalesce(b.visitas_totales, 0) + coalesce(v.totales, 0) as int) as visitas_totales,
       cast(coalesce(b.visitas_anio_actual, 0) + coalesce(v.anio, 0) as int) as visitas_anio_actual,
       cast(coalesce(b.visitas_mes_actual, 0) + coalesce(v.mes, 0) as int) as visitas_mes_actual
from before b
full join (select email, min(primera) as primera, max(ultima) as ultima, sum(totales) as totales, sum(anio) as anio,
                  sum(mes) as mes
           from visits
           group by email) v on v.email = b.email;

-- Recount the visits of the current year and month: after the as-of date moved to another month or year.
-- Reads statistics, writes visitor. Safe to repeat: rows that are right already are not touched.
with recount as (
    select email, count(*) as anio,
           count(*) filter (where visit >= date_trunc('month', %(as_of)s::timestamp)
                              and visit < date_trunc('month', %(as_of)s::timestamp) + interval '1 month') as mes
    from (select email, visit_date(%(visit_event)s, fecha_envio, fecha_open, fecha_click) as visit from statistics) s
    where visit >= date_trunc('year', %(as_of)s::timestamp)
      and visit < date_trunc('year', %(as_of)s::timestamp) + interval '1 year'
    group by email
)
update visitor v
set visitas_anio_actual = coalesce(r.anio, 0), visitas_mes_actual = coalesce(r.mes, 0)
from visitor w
left join recount r using (email)
where v.email = w.email
  and (v.visitas_anio_actual, v.visitas_mes_actual) is distinct from (coalesce(r.anio, 0), coalesce(r.mes, 0));

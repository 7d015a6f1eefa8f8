-- Make visitor equal a full recount of statistics: after a change of the visit event, or to repair it.
-- Reads statistics, writes visitor. Safe to repeat: rows that are right already are not touched.
with recount as (
    select email, min(visit) as primera, max(visit) as ultima, count(*) as totales,
           count(*) filter (where visit >= date_trunc('year', %(as_of)s::timestamp)
                              and visit < date_trunc('year', %(as_of)s::timestamp) + interval '1 year') as anio,
           count(*) filter (where visit >= date_trunc('month', %(as_of)s::timestamp)
                              and visit < date_trunc('month', %(as_of)s::timestamp) + interval '1 month') as mes
    from (select email, visit_date(%(visit_event)s, fecha_envio, fecha_open, fecha_click) as visit from statistics) s
    where visit is not null
    group by email
), gone as (
    delete from visitor v where not exists (select from recount r where r.email = v.email)
)
insert into visitor as v
select * from recount
on conflict (email) do update set
    fecha_primera_visita = excluded.fecha_primera_visita,
    fecha_ultima_visita = excluded.fecha_ultima_visita,
    visitas_totales = excluded.visitas_totales,
    visitas_anio_actual = excluded.visitas_anio_actual,
    visitas_mes_actual = excluded.visitas_mes_actual
where v is distinct from excluded;

-- Recount the visitors with an address in the lines of file file_id that are named, or in all if none are.
-- without: the file itself no longer counts; its lines are about to be deleted.
-- Reads statistics, writes visitor, returns how many visitors are gone, have other counts, and are new. Safe to repeat.
with period as (  -- worked out once, not for every line
    select year, year + interval '1 year' as next_year, month, month + interval '1 month' as next_month
    from date_trunc('year', %(as_of)s::timestamp) as year, date_trunc('month', %(as_of)s::timestamp) as month
), address as (
    select distinct email
    from statistics
    where file_id = %(file_id)s and (%(line_numbers)s::integer[] is null or line_number = any(%(line_numbers)s::integer[]))
), recount as materialized (
    select email, visits.*
    from period
    cross join address
    cross join lateral (  -- address by address, by the index
        select min(visit) as primera, max(visit) as ultima, count(visit)::integer as totales,
               (count(*) filter (where visit >= year and visit < next_year))::integer as anio,
               (count(*) filter (where visit >= month and visit < next_month))::integer as mes
        from (select visit_date(%(visit_event)s, fecha_envio, fecha_open, fecha_click) as visit
              from statistics s
              where s.email = address.email and not (%(without)s and s.file_id = %(file_id)s)) line
    ) visits
), gone as (
    delete from visitor v using recount r where v.email = r.email and r.totales = 0 returning v.email
), counted as (
    insert into visitor as v
    select email, primera, ultima, totales, anio, mes from recount where totales > 0 order by email
    on conflict (email) do update set
        fecha_primera_visita = excluded.fecha_primera_visita,
        fecha_ultima_visita = excluded.fecha_ultima_visita,
        visitas_totales = excluded.visitas_totales,
        visitas_anio_actual = excluded.visitas_anio_actual,
        visitas_mes_actual = excluded.visitas_mes_actual
    where v is distinct from excluded
    returning xmax = 0 as is_new  -- a row version that nothing had locked: inserted, not updated
)
select (select count(*) from gone), count(*) filter (where not is_new), count(*) filter (where is_new) from counted;

-- Count the visits of a file into visitor: of the lines that are named, or of all if none are.
-- Reads statistics, writes visitor, returns how many addresses were new and how many updated.
-- Not to be repeated for the same rows: it runs in the transaction that inserts them.
with period as (  -- worked out once, not for every line
    select year, year + interval '1 year' as next_year, month, month + interval '1 month' as next_month
    from date_trunc('year', %(as_of)s::timestamp) as year, date_trunc('month', %(as_of)s::timestamp) as month
), visits as (
    select email, visit_date(%(visit_event)s, fecha_envio, fecha_open, fecha_click) as visit
    from statistics
    where file_id = %(file_id)s and (%(line_numbers)s::integer[] is null or line_number = any(%(line_numbers)s::integer[]))
    order by email  -- as the rows lie: sorted at once, and then grouped without a hash table
), upserted as (
    insert into visitor as v
    select email, min(visit), max(visit), count(*),
           count(*) filter (where visit >= (select year from period) and visit < (select next_year from period)),
           count(*) filter (where visit >= (select month from period) and visit < (select next_month from period))
    from visits
    where visit is not null
    group by email
    order by email
    on conflict (email) do update set
        fecha_primera_visita = least(v.fecha_primera_visita, excluded.fecha_primera_visita),
        fecha_ultima_visita = greatest(v.fecha_ultima_visita, excluded.fecha_ultima_visita),
        visitas_totales = v.visitas_totales + excluded.visitas_totales,
        visitas_anio_actual = v.visitas_anio_actual + excluded.visitas_anio_actual,
        visitas_mes_actual = v.visitas_mes_actual + excluded.visitas_mes_actual
    returning xmax = 0 as is_new  -- a row version that nothing had locked: inserted, not updated
)
select count(*) filter (where is_new), count(*) filter (where not is_new) from upserted;

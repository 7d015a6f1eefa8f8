-- The sums of the counters in the view visitors, to be compared with those of Postgres.
select count(*), sum(visitas_totales), sum(visitas_anio_actual), sum(visitas_mes_actual) from visitors;

-- The sums of the visitors' counters. Reads visitor.
select count(*), sum(visitas_totales), sum(visitas_anio_actual), sum(visitas_mes_actual) from visitor;

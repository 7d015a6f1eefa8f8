-- The visitor of address email, and what the counters mean. Reads visitor and visitor_basis.
select fecha_primera_visita, fecha_ultima_visita, visitas_totales, visitas_anio_actual, visitas_mes_actual, as_of, visit_event
from visitor_basis
left join visitor on email = %(email)s;

-- Make the table of the visitors, if it is not there. Its columns are those of Postgres's table.
create table if not exists lake.visitas.visitor (
    email                 string not null,
    fecha_primera_visita  timestamp_ntz not null,
    fecha_ultima_visita   timestamp_ntz not null,
    visitas_totales       int not null,
    visitas_anio_actual   int not null,
    visitas_mes_actual    int not null
) using iceberg
tblproperties ('format-version' = '2');

-- Make the table of the valid lines, if it is not there. Its columns are those of Postgres's table.
create table if not exists lake.visitas.statistics (
    file_id         int not null,
    line_number     int not null,
    email           string not null,
    jyv             string,
    badmail         string,
    baja            string,
    fecha_envio     timestamp_ntz not null,
    fecha_open      timestamp_ntz,
    opens           int,
    opens_virales   int,
    fecha_click     timestamp_ntz,
    clicks          int,
    clicks_virales  int,
    links           string,
    ips             string,
    navegadores     string,
    plataformas     string
) using iceberg
tblproperties ('format-version' = '2');

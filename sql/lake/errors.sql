-- Make the table of the rejected lines, if it is not there. Its columns are those of Postgres's table.
create table if not exists lake.visitas.errors (
    file_id      int not null,
    line_number  int not null,
    codes        array<string> not null,
    message      string not null,
    raw_line     string
) using iceberg
tblproperties ('format-version' = '2');

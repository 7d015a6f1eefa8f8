-- Move a corrected line from errors to statistics, and remember that it is not as the zip has it.
-- Writes errors, load_replay and statistics. Not to be repeated: the key refuses it.
with gone as (
    delete from errors where file_id = %(file_id)s and line_number = %(line_number)s
), corrected as (
    insert into load_replay values (%(file_id)s, %(line_number)s)
)
insert into statistics (file_id, line_number, email, jyv, badmail, baja, fecha_envio, fecha_open, opens, opens_virales,
                        fecha_click, clicks, clicks_virales, links, ips, navegadores, plataformas)
values (%(file_id)s, %(line_number)s, %(email)s, %(jyv)s, %(badmail)s, %(baja)s, %(fecha_envio)s, %(fecha_open)s, %(opens)s,
        %(opens_virales)s, %(fecha_click)s, %(clicks)s, %(clicks_virales)s, %(links)s, %(ips)s, %(navegadores)s, %(plataformas)s);

-- Every line of address email, in order of visits; a line without the date that makes a visit comes last.
-- Reads statistics, load_file and visitor_basis.
select visit_date(visit_event, fecha_envio, fecha_open, fecha_click) as visit, f.name, s.line_number,
       case when f.archived_at is not null then f.archive_name end
from visitor_basis
join statistics s on s.email = %(email)s
join load_file f on f.id = s.file_id
order by visit nulls last, f.id, s.line_number;

-- Count the reject codes of tonight's files. Reads the view rejected.
select file_id, code, count(*)
from rejected
lateral view explode(codes) as code
group by file_id, code;

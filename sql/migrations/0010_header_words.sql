-- The fault of a refused file once repeated the file's first line, which may hold data of people. Forward only; applied once by etl/postgres/migrations.py.

update errors
set message = 'layout-header: the file is empty, or its first line is not the header'
where 'layout-header' = any(codes)
  and message !~ (': "(more than [0-9]+ bytes|not UTF-8|broken quoting|empty|[0-9]+ columns, not 15'
                  || '|([0-9]+ columns, not 15; )?no [A-Za-z ]+ at [0-9]+(, [A-Za-z ]+ at [0-9]+)?( and [0-9]+ more)?)"$');

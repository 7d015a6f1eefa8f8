-- What a server says of a file may be wrong, or nothing. Forward only; applied once by etl/postgres/migrations.py.

alter table load_file add column server_said text;
comment on column load_file.server_said is
    'What the server said of the file, if that was not the truth: [size, time] in its listing, then when asked for the file alone; JSON. NULL: the truth.';

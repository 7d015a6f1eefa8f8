-- Enter a run as running. Writes load_run. Safe to repeat: a run that is entered stays as it is.
insert into load_run (id, script, host, started_at, as_of, visit_event)
values (%(id)s, %(script)s, %(host)s, %(started_at)s, %(as_of)s, %(visit_event)s)
on conflict (id) do nothing;

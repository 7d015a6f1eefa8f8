-- Say what the counters in visitor mean from now on. Writes visitor_basis. Safe to repeat.
insert into visitor_basis (as_of, visit_event)
values (%(as_of)s, %(visit_event)s)
on conflict (only_row) do update set as_of = excluded.as_of, visit_event = excluded.visit_event;

-- What the counters in visitor mean now; no row in a new database. Reads visitor_basis.
select as_of, visit_event from visitor_basis;

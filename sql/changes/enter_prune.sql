-- Enter that changed_by gave up old zips and lines rejected lines as received. Writes load_change.
-- Not to be repeated: it runs in the transaction that enters what is given up.
insert into load_change (changed_by, what, lines) values (%(changed_by)s, 'prune', %(lines)s);

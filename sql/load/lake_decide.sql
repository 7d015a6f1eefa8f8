-- Decide that the branch counts. Writes lake_night. Safe to repeat: a branch that is there already is not entered.
insert into lake_night (branch, run_id) values (%(branch)s, %(run_id)s) on conflict do nothing;

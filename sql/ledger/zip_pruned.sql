-- Enter that the zips are pruned. Writes load_zip. Safe to repeat.
update load_zip set pruned_at = now() where name = any(%(names)s) and pruned_at is null;

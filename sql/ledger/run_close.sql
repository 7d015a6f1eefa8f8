-- Enter how a run ended. Writes load_run. Safe to repeat: the last word counts.
-- Names columns of the first migration only: a run that ends because the schema is too old is entered too.
update load_run
set finished_at = now(), exit_status = %(exit_status)s,
    status = case when %(exit_status)s in (0, 3) then 'done' else 'failed' end
where id = %(id)s;

-- Enter how a run ended. Writes load_run. Safe to repeat: the last word counts.
update load_run
set finished_at = now(), database_bytes = pg_database_size(current_database()), exit_status = %(exit_status)s,
    status = case when %(exit_status)s in (0, 3) then 'done' else 'failed' end
where id = %(id)s;

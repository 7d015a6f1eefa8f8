-- Mark the runs that never entered their end. Writes load_run. Safe only for the holder of the run lock: no other run lives.
update load_run set status = 'crashed' where status = 'running' returning id;

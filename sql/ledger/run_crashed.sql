-- Mark the runs that never entered their end, but for this one. Writes load_run.
-- Safe only for the holder of the run lock, once ledger/run_living has found no run: no other run lives.
update load_run set status = 'crashed' where status = 'running' and id <> %(id)s returning id;

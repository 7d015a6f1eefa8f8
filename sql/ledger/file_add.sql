-- Enter a report in the load log. Writes load_file. Not to be repeated: ledger/file_look says whether it is there.
insert into load_file (id, run_id, name, sha256, bytes, source_mtime, status, name_reused, rows_read, rows_loaded,
                       rows_rejected, visitors_new, visitors_updated, first_seen_at, server_said)
values (%(file_id)s, %(run_id)s, %(name)s, %(sha256)s, %(bytes)s, to_timestamp(%(mtime)s), %(status)s, %(name_reused)s,
        %(rows_read)s, %(rows_loaded)s, %(rows_rejected)s, %(visitors_new)s, %(visitors_updated)s,
        to_timestamp(%(pulled_at)s), %(said)s);

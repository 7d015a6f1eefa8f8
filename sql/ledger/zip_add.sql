-- Enter the zip that is about to be put in place. Writes load_zip. Safe to repeat: a name that a killed run took means this file now.
insert into load_zip (name, sha256, bytes, files)
values (%(name)s, %(sha256)s, %(bytes)s, %(files)s)
on conflict (name) do update set
    sha256 = excluded.sha256, bytes = excluded.bytes, files = excluded.files, proved_at = null, pruned_at = null;

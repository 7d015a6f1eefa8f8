-- Enter the sums of the night's reject codes, worked out by Spark. Writes load_reject.
-- Not to be repeated: it runs in the transaction of the night's files.
insert into load_reject (file_id, code, lines)
select * from unnest(%(file_id)s::integer[], %(code)s::text[], %(lines)s::integer[]);

-- Enter the sums of the night's reject codes, worked out by Spark, and for each file and code the first line: mails and pages show
-- it. Writes load_reject and errors. Not to be repeated: it runs in the transaction of the night's files.
with reject as (
    select * from unnest(%(file_id)s::integer[], %(code)s::text[], %(lines)s::integer[], %(line_number)s::integer[],
                         %(message)s::text[], %(codes)s::text[])
                  as reject (file_id, code, lines, line_number, message, codes)
), example as (
    insert into errors (file_id, line_number, codes, message)
    select distinct file_id, line_number, codes::text[], message from reject
)
insert into load_reject (file_id, code, lines) select file_id, code, lines from reject;

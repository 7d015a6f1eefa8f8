-- Forget the sums of file file_id, which are then made anew. Writes load_campaign and load_reject. Safe to repeat.
with mail as (
    delete from load_campaign where file_id = %(file_id)s
)
delete from load_reject where file_id = %(file_id)s;

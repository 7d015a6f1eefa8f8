-- Take one line out again, in the scratch database of a restore drill. Writes statistics. Safe to repeat.
delete from statistics
where line_number = %(line_number)s and file_id = (select id from load_file where sha256 = %(sha256)s);

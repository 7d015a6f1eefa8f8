-- Keep of line 1 of file file_id only why it stands for the whole file: a forgotten person is named in it. Writes errors.
-- Safe to repeat.
update errors set raw_line = null where file_id = %(file_id)s and line_number = 1;

-- What became of line line_number of file file_id: the loaded row as JSON, or the codes and the message of its rejection.
-- Then whether somebody corrected the line, and whether it was of somebody who was forgotten.
-- Reads statistics, errors, load_replay, load_file and load_erased; a line of which neither is known gives two nulls.
select (select to_jsonb(s) - 'file_id' - 'line_number' from statistics s
        where s.file_id = %(file_id)s and s.line_number = %(line_number)s),
       (select array_to_string(codes, ', ') || ': ' || message from errors
        where file_id = %(file_id)s and line_number = %(line_number)s),
       exists (select from load_replay where file_id = %(file_id)s and line_number = %(line_number)s),
       exists (select from load_erased e join load_file f using (sha256)
               where f.id = %(file_id)s and e.line_number = %(line_number)s);

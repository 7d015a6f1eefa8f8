-- Erase these lines of file file_id: loaded ones of address email, and rejected ones; return how many of each.
-- Line 1 stands for the whole file and keeps its reason. Writes statistics and errors. Safe to repeat.
with loaded as (
    delete from statistics
    where file_id = %(file_id)s and line_number = any(%(line_numbers)s) and email = %(email)s
    returning 1
), rejected as (
    delete from errors
    where file_id = %(file_id)s and line_number = any(%(line_numbers)s) and line_number > 1
    returning 1
), blank as (
    update errors set raw_line = null
    where file_id = %(file_id)s and line_number = any(%(line_numbers)s) and line_number = 1
)
select (select count(*) from loaded), (select count(*) from rejected);

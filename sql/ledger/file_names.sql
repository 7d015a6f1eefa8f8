-- Those of names under which a file is loaded. Reads load_file.
select distinct name from load_file where name = any(%(names)s) and status = 'loaded';

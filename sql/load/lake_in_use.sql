-- Whether any night's rows are in the lake, and whether any report is loaded. Reads lake_night and load_file.
select exists (select from lake_night), exists (select from load_file where status = 'loaded');

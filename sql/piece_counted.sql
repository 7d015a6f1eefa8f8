-- Give the rows of a piece, whose visits are counted, to their file. Writes statistics; no row is left in file 0.
update statistics set file_id = %(file_id)s where file_id = 0;

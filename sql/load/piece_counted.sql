-- Give the rows of a piece, whose visits are counted, to their file. Writes statistics; no row keeps a negative file id.
update statistics set file_id = %(file_id)s where file_id = -%(file_id)s;

-- Erase the visitor of address email. Writes visitor. Safe to repeat.
delete from visitor where email = %(email)s;

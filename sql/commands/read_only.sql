-- Read only, and everything as of one moment, until this transaction ends.
set transaction isolation level repeatable read, read only;

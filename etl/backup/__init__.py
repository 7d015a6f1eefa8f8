"""The backup: the zip, what is wrong with one, and the removal of files that are in one."""

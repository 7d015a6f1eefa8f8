"""The one door to the SFTP server: the connection, many requests at once, and the files that lie there."""

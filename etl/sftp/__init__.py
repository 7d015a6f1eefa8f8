"""The one door to the SFTP server: the connection, the requests, the batches of files."""

"""The one door to the SFTP server: the login, the packets, and work on many of its files at once."""

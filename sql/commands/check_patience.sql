-- Wait no longer than this for a load that is at work. For this transaction; writes nothing.
set local lock_timeout = '3s';

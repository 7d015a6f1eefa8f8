-- Keep other loads out until this transaction ends; reading goes on. Guards load_file's ids and the counters.
lock table load_file in share row exclusive mode;

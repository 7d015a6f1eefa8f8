-- Keep all loads out until this transaction ends, and wait for those at work; reading goes on.
-- Guards the counters while what they mean changes.
lock table visitor_basis in exclusive mode;

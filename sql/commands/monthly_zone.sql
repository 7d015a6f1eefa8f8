-- Until this transaction ends, a day is a day in timezone, also where a view cuts a time into months. Safe to repeat.
select set_config('TimeZone', %(timezone)s, true);

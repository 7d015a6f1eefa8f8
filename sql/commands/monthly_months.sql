-- The twelve months up to the month of first, as far as anything is known of them. Reads monthly_summary.
select month, sent, hard_bounces, delivered, opened, clicked, unsubscribed, files, files_loaded, files_duplicate, files_refused,
       files_quarantined, files_undone, rows_read, rows_loaded, rows_rejected, visitors_new, visitors_updated, nights, nights_failed
from monthly_summary
where month > %(first)s::date - interval '1 year' and month <= %(first)s::date
order by month;

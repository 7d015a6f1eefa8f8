-- The day of the first run, of the newest night, and of the newest mails; each null if there is none. Reads load_run and load_campaign.
select (select min(started_at)::date from load_run), (select max(started_at)::date from load_run where script = 'etl'),
       (select max(send_date) from load_campaign);
